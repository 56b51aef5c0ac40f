"""Errors in answers of Anthropic's Messages. Pure.

Source: the Anthropic API reference, "Errors" and "Streaming Messages": error events.
"""

from collections.abc import Mapping

from libs.chat.providers.protocol import ProviderFailure


def raise_for(found: Mapping[str, object]) -> None:
    """Takes a message, or an event. Raises ProviderFailure."""
    if found.get("type") == "error":
        raise ProviderFailure(found.get("error"))
