"""Which of a client's headers a provider is sent. Pure."""

from dataclasses import replace

from libs.chat.providers.protocol import Call, Outgoing
from libs.config.providers import ProtocolName, Provider

_TAKEN: dict[ProtocolName, tuple[str, ...]] = {"anthropic-messages": ("anthropic-beta",)}
"""Bedrock has features too, and refuses a request that names one which it does not know."""


def with_headers(outgoing: Outgoing, call: Call, provider: Provider) -> Outgoing:
    """What is sent, with the client's headers that the provider takes; the others are named as left out."""
    taken = [name for name in _TAKEN.get(provider.protocol, ()) if name not in provider.unsupported]
    left_out = (name for name in call.headers if name not in taken)
    sent = {name: value for name, value in call.headers.items() if name in taken}
    return replace(outgoing, headers=sent, dropped=tuple(sorted({*outgoing.dropped, *left_out})))
