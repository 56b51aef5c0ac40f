"""Which requests are the same, what is kept of an answer, and which answers are kept. Pure."""

from collections import OrderedDict, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field
from pydantic_core import to_json

from contracts.answers import AnswerCached, AnswersForgotten
from contracts.quantities import Quantity
from contracts.record import JSON, Value
from contracts.requests import CallableRequest
from contracts.usage import TokenUsage

SHARED = "shared"
"""The owner of answers that are given to all who share."""
_SHARE = 4
"""One owner's answers have at most this part of the room."""
_NAMES = frozenset({"cache", "metadata", "prompt_cache_key", "safety_identifier", "session_id", "tags", "user"})
"""Fields without an effect on the answer: of whom it is, and how it is made sooner."""


def normalised(request: CallableRequest, body: Mapping[str, Any]) -> bytes:
    """The one form that all same requests have: fields in order, and what the gateway adds to them."""
    asked = {name: value for name, value in body.items() if name not in _NAMES and value is not None}
    beside = [
        request.surface.value,
        request.model,
        request.stream,
        request.effort,
        request.verbosity,
        request.cap_tokens,
        sorted(request.upstream_headers.items()),
    ]
    return to_json([beside, _ordered(asked)])


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _ordered(value[name]) for name in sorted(value)}
    return [_ordered(one) for one in value] if isinstance(value, list) else value


class CachedAnswer(Value):
    """What is sealed: an answer as its client got it."""

    provider_id: str
    upstream_model: str
    model: str | None = None
    """Which stood in for the request's."""
    body: str | None = None
    """Of an answer that was not streamed."""
    events: str = ""
    tail: str = ""
    """The last events, which travel with the end of the reply."""
    content_type: str = JSON
    tokens: TokenUsage = TokenUsage()
    quantities: list[Quantity] = []
    cached_at_ms: Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True)
class _Kept:
    owner: str
    cached_at_ms: int
    expires_at_ms: int
    sealed: bytes


class AnswerBook:
    """The answers that one relay has at hand, sealed; those that were not asked for the longest make way."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._bytes = 0
        self._of_owner: defaultdict[str, int] = defaultdict(int)
        self._forgotten_at_ms: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def apply(self, record: AnswerCached | AnswersForgotten, now_ms: int) -> None:
        """Takes a record of the log in, or one that is about to be there."""
        if isinstance(record, AnswersForgotten):
            self._forget(record.owner, record.forgotten_at_ms)
            return
        known = self._kept.get(record.locator)
        forgotten = self._forgotten_at_ms.get(record.owner, 0)
        if now_ms >= record.expires_at_ms or record.cached_at_ms <= forgotten:
            return
        if known and known.cached_at_ms >= record.cached_at_ms:
            return
        self._drop(record.locator)
        size = len(record.sealed)
        while self._of_owner[record.owner] + size > self._most // _SHARE:
            oldest = next((name for name, kept in self._kept.items() if kept.owner == record.owner), None)
            if oldest is None:
                return
            self._drop(oldest)
        while self._bytes + size > self._most:
            self._drop(next(iter(self._kept)))
        self._kept[record.locator] = _Kept(record.owner, record.cached_at_ms, record.expires_at_ms, record.sealed)
        self._bytes += size
        self._of_owner[record.owner] += size

    def find(self, locator: str, now_ms: int, max_age_s: int | None) -> bytes | None:
        """A sealed answer that is not too old."""
        kept = self._kept.get(locator)
        if kept is None:
            return None
        if now_ms >= kept.expires_at_ms:
            self._drop(locator)
            return None
        if max_age_s is not None and now_ms - kept.cached_at_ms > max_age_s * 1000:
            return None
        self._kept.move_to_end(locator)
        return kept.sealed

    def expire(self, now_ms: int) -> None:
        """Drops what nobody will be given any more."""
        for locator in [name for name, kept in self._kept.items() if now_ms >= kept.expires_at_ms]:
            self._drop(locator)

    def _forget(self, owner: str, at_ms: int) -> None:
        self._forgotten_at_ms[owner] = max(at_ms, self._forgotten_at_ms.get(owner, 0))
        for locator in [
            name for name, kept in self._kept.items() if kept.owner == owner and kept.cached_at_ms <= at_ms
        ]:
            self._drop(locator)

    def _drop(self, locator: str) -> None:
        kept = self._kept.pop(locator, None)
        if kept:
            self._bytes -= len(kept.sealed)
            self._of_owner[kept.owner] -= len(kept.sealed)
            if not self._of_owner[kept.owner]:
                del self._of_owner[kept.owner]
