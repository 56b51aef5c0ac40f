"""Secrets at rest and on the way: envelope encryption and sealed grants."""
