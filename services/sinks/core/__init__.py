"""Decisions of the sinks: pure."""
