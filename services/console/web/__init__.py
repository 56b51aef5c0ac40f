"""The web console: pages rendered here, of the same stores and by the same rules as the management API."""
