"""Errors in answers of Google's Gemini. Pure.

Source: Google, "Errors": google.rpc.Status under ``error``.
"""

from collections.abc import Mapping

from libs.chat.providers.protocol import ProviderFailure


def raise_for(found: Mapping[str, object]) -> None:
    """Takes an answer, or a piece of one. Raises ProviderFailure."""
    if isinstance(found.get("error"), dict):
        raise ProviderFailure(found["error"])
