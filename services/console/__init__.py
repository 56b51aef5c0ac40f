"""Owns accounts, keys and the management API."""
