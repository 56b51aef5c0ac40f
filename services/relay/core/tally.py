"""What becomes of calls, counted by provider. Pure."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from contracts.outcomes import OutcomesCounted, Pace
from contracts.record import Refusal
from libs.chat.providers.errors import RETRY_AFTER

LEAST_TOKENS = 20
LEAST_S = 0.2
"""Shorter streams say nothing of a provider's speed."""


LIMITED_S = 10
REFUSED_S = 600
"""How long a key rests: one at its limit, where the provider does not say, and one that the provider refuses."""


def rests_s(refusal: Refusal) -> int:
    """How long the key that was used is not to be used again; 0 where the failure is none of its."""
    status = refusal.metadata.get("provider_status")
    if status in (401, 403):
        return REFUSED_S
    if status != 429:
        return 0
    said_s = refusal.metadata.get(RETRY_AFTER)
    return max(1, said_s) if isinstance(said_s, int) else LIMITED_S


@dataclass(slots=True)
class _Counts:
    answered: int = 0
    failed: int = 0
    limited: int = 0
    rests: dict[int, int] = field(default_factory=dict)
    streams: defaultdict[str, list[Pace]] = field(default_factory=lambda: defaultdict(list))


class Tally:
    """The counts since the last report."""

    def __init__(self) -> None:
        self._counts: defaultdict[str, _Counts] = defaultdict(_Counts)

    def answered(self, provider_id: str) -> None:
        """An answer has begun, or the provider refused the request with a reason."""
        self._counts[provider_id].answered += 1

    def refused(self, provider_id: str, refusal: Refusal, *, key: int = 0, now_ms: int = 0) -> None:
        """A call ended with an error, before or after an answer had begun.

        Args:
            key: the number of the gateway's key that was used.
        """
        counts = self._counts[provider_id]
        if rest_s := rests_s(refusal):
            counts.rests[key] = now_ms + rest_s * 1000
        if refusal.status == 429:
            counts.limited += 1
        elif refusal.status >= 500:
            counts.failed += 1
        else:
            counts.answered += 1

    def streamed(
        self, provider_id: str, upstream_model: str, *, first_byte_ms: int, output_tokens: int, seconds: float
    ) -> None:
        """A stream ended well; ``seconds`` from its first byte on."""
        telling = output_tokens >= LEAST_TOKENS and seconds >= LEAST_S
        stream = Pace(first_byte_ms=first_byte_ms, tokens_per_s=output_tokens / seconds if telling else None)
        self._counts[provider_id].streams[upstream_model].append(stream)

    def take(self, relay_id: str, now_ms: int) -> Iterator[OutcomesCounted]:
        """The reports of what was counted, which then begins anew."""
        counted, self._counts = self._counts, defaultdict(_Counts)
        for provider_id, counts in counted.items():
            yield OutcomesCounted(
                relay_id=relay_id,
                provider_id=provider_id,
                answered=counts.answered,
                failed=counts.failed,
                limited=counts.limited,
                paces={model: _pace(streams) for model, streams in counts.streams.items()},
                rests=counts.rests,
                counted_at_ms=now_ms,
            )


def _pace(streams: list[Pace]) -> Pace:
    speeds = [stream.tokens_per_s for stream in streams if stream.tokens_per_s is not None]
    return Pace(
        first_byte_ms=round(sum(stream.first_byte_ms for stream in streams) / len(streams)),
        tokens_per_s=sum(speeds) / len(speeds) if speeds else None,
    )
