"""Delivers records to other systems, and says what somebody should know."""
