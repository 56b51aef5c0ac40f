"""Errors in answers of chat completions. Pure.

Source: OpenRouter, "Errors": an answer whose status is 200 may be one.
"""

from collections.abc import Mapping

from libs.chat.providers.protocol import ProviderFailure


def raise_for(found: Mapping[str, object]) -> None:
    """Takes an answer, or a chunk of one. Raises ProviderFailure."""
    if found.get("error"):
        raise ProviderFailure(found["error"])
