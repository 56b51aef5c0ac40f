"""Streams that were cut, and go on with another call from where they were."""
