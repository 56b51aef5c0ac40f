"""Traces, logs and health, the same in every service."""
