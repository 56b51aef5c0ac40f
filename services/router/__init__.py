"""Joins three decisions into a route."""
