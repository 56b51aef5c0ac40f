"""Grants provider keys, sealed for the relay."""
