"""Limits: what they count, and by whom requests are counted."""
