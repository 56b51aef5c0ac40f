"""In which of its tiers a provider ran a call that was sent with ``service_tier: flex``. Sans-I/O.

Sources: OpenAI, "Flex processing" (``service_tier`` of the answer); AWS, "Service tiers" (``serviceTier.type``);
Google, "Flex inference", whose answers name none: what does not fit into the tier is refused there.
"""

from collections.abc import Mapping
from dataclasses import replace

from contracts.usage import ServiceTier
from libs.chat.providers.answers import Answer, Exchange, Rewritten
from libs.chat.providers.protocol import ProtocolError, parse_event, parse_object

FLEX: ServiceTier = "flex"
_NAMES = ("service_tier", "serviceTier")


class _Served:
    """The tier that an answer names, else the one that was asked for."""

    def __init__(self) -> None:
        self._tier: ServiceTier | None = FLEX

    def tier(self) -> ServiceTier | None:
        return self._tier

    def read(self, answer: Mapping[str, object]) -> None:
        held = answer.get("response")
        for part in (answer, held) if isinstance(held, dict) else (answer,):
            for name in _NAMES:
                named = part.get(name)
                kind = named.get("type") if isinstance(named, dict) else named
                if isinstance(kind, str):
                    self._tier = FLEX if kind == FLEX else None


def with_tier(found: Exchange) -> Exchange:
    """The exchange of a call that is sent in the tier; what the provider makes of it is in `Exchange.tier`."""
    served = _Served()

    def whole(data: bytes) -> Answer:
        answer = found.whole(data)
        served.read(parse_object(data))
        return answer

    stream = Rewritten(found.stream, end=lambda text: text)
    passed_on = stream.event

    def event(data: str) -> str:
        text = passed_on(data)
        if any(name in data for name in _NAMES):
            try:
                served.read(parse_event(data))
            except ProtocolError:
                return text
        return text

    stream.event = event
    return replace(found, whole=whole, stream=stream, tier=served.tier)
