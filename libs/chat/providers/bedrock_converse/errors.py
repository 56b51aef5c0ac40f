"""Errors in answers of AWS Bedrock's Converse. Pure.

Source: the Bedrock API reference, "Converse" and "ConverseStream": errors and exceptions of the stream.
"""

from collections.abc import Mapping

from libs.chat.providers.protocol import ProviderFailure


def raise_for(found: Mapping[str, object]) -> None:
    """Takes an answer, or an event. Raises ProviderFailure."""
    for kind, content in found.items():
        if kind.endswith("Exception") or kind == "error":
            words = content.get("message") if isinstance(content, dict) else content
            raise ProviderFailure(words or kind)
    if isinstance(found.get("message"), str):
        raise ProviderFailure(found["message"])
