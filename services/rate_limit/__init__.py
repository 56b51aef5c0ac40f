"""Decides whether a subject's quota has room."""
