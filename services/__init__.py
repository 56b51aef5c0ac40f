"""The services: each a process of its own that speaks to the others over the log only."""
