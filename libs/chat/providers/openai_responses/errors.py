"""Errors in answers of Responses. Pure.

Source: the OpenAI API reference, "Streaming events": error, response.failed. The reference has the message of an error
beside its type; OpenAI sends it under ``error``.
"""

from collections.abc import Mapping

from libs.chat.providers.protocol import ProviderFailure


def raise_for(found: Mapping[str, object]) -> None:
    """Takes a response, or an event. Raises ProviderFailure."""
    if found.get("type") == "error":
        raise ProviderFailure(found.get("error") or found)
    if found.get("type") == "response.failed":
        response = found.get("response")
        raise ProviderFailure(response.get("error") if isinstance(response, dict) else None)
    if found.get("status") == "failed" or found.get("error"):
        raise ProviderFailure(found.get("error"))
