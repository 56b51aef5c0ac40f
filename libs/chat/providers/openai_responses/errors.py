"""Errors in answers of Responses. Pure.

Source: the OpenAI API reference, "Streaming events": error, response.failed. The reference has the message of an error
beside its type; OpenAI sends it under ``error``.
"""

from collections.abc import Mapping
from typing import Any

from libs.chat.providers.protocol import ProviderFailure


def raise_for(found: Mapping[str, Any]) -> None:
    """Takes a response, or an event. Raises ProviderFailure."""
    if found.get("type") == "error":
        raise ProviderFailure(found.get("error") or found)
    if found.get("type") == "response.failed":
        raise ProviderFailure((found.get("response") or {}).get("error"))
    if found.get("status") == "failed" or found.get("error"):
        raise ProviderFailure(found.get("error"))
