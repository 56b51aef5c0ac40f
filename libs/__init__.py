"""What services are built from; nothing here knows a service."""
