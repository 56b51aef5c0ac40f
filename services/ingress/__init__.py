"""Holds the clients' connections."""
