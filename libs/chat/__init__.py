"""Conversations: what clients speak, what providers speak, and the translation between them; no I/O."""
