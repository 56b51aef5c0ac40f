"""Anthropic's Messages, as clients speak them."""
