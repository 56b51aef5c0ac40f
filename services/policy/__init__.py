"""Decides which models a caller may use."""
