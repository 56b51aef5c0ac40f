"""Anthropic's Messages, as its provider speaks them."""
