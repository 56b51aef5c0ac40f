"""Calls providers, and is the one writer of outcomes."""
