"""``gateway.replies.v1``: the answer on its way to the ingress that holds the client's connection."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from .decisions import QuotaWindow
from .record import JSON, Refusal, ReplyAddress, RequestId, RequestRecord

STREAM_WINDOW = 64 * 1024
"""Of a stream's size that its client has not been sent: with more the relay writes no further chunk. So neither relay,
broker nor ingress hold what somebody does not read; the provider waits."""


class Outcome(StrEnum):
    """How a request ended; each ends in exactly one of these ways."""

    COMPLETED = "completed"
    REJECTED = "rejected"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


EVENTS = "text/event-stream; charset=utf-8"


class ReplyStarted(RequestRecord):
    """The provider's first bytes of a stream are here; from now on errors travel inside it."""

    reply_to: ReplyAddress
    content_type: str = EVENTS
    windows: list[QuotaWindow] = []
    waited_ms: Annotated[int, Field(ge=0)] = 0
    """See `QuotaReserved.waited_ms`."""
    provider_id: str | None = None
    tried: list[str] = []
    """See `ReplyEnded.tried`."""
    dropped: list[str] = []
    """See `ReplyEnded.dropped`."""
    model: str | None = None
    """See `ReplyEnded.model`."""
    cached_s: Annotated[int, Field(ge=0)] | None = None
    """See `ReplyEnded.cached_s`."""
    upstream_ms: Annotated[int, Field(ge=0)] = 0
    """See `ReplyEnded.upstream_ms`."""


class ReplyChunk(RequestRecord):
    """Server-sent events, ready for the client, or bytes; ``seq`` counts from 0 without a gap."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    reply_to: ReplyAddress
    seq: Annotated[int, Field(ge=0)]
    data: str = ""
    content: bytes = b""
    """Of an answer that is no text: a recording."""

    @property
    def sent(self) -> str | bytes:
        """What the client gets."""
        return self.content or self.data

    @property
    def event_id(self) -> str:
        return f"{self.request_id}/{self.seq}"


class ReplyEnded(RequestRecord):
    """The last record of a reply. ``body`` is the whole answer of a request that did not stream."""

    reply_to: ReplyAddress
    outcome: Outcome
    status: Annotated[int, Field(ge=200, le=599)] = 200
    refusal: Refusal | None = None
    body: str | None = None
    content_type: str = JSON
    """Of the body."""
    tail: str | None = None
    """The last events of a stream. They travel here, so that no client sees the end of what is not in the books."""
    chunks: Annotated[int, Field(ge=0)] = 0
    """How many `ReplyChunk` records came before."""
    windows: list[QuotaWindow] = []
    waited_ms: Annotated[int, Field(ge=0)] = 0
    """See `QuotaReserved.waited_ms`."""
    provider_id: str | None = None
    """Who answered, or was asked last."""
    tried: list[str] = []
    """Providers that failed before, as ``provider=status``."""
    dropped: list[str] = []
    """Fields of the client's request that the provider was not sent: its protocol lacks them, or it refuses them."""
    model: str | None = None
    """Which model stood in; None: the one that was asked for, or that its name stands for."""
    cached_s: Annotated[int, Field(ge=0)] | None = None
    """How old the answer is that came from the cache; None: of a provider."""
    upstream_ms: Annotated[int, Field(ge=0)] = 0
    """How long providers were waited for, until a stream's first byte or the end of a whole answer: the rest is the
    gateway's own delay."""


def refused(request_id: RequestId, reply_to: ReplyAddress, refusal: Refusal) -> ReplyEnded:
    """The last record of a reply that Sluice ends itself: the client gets the refusal, and no part of an answer."""
    return ReplyEnded(
        request_id=request_id, reply_to=reply_to, outcome=Outcome.FAILED, status=refusal.status, refusal=refusal
    )


Reply = ReplyStarted | ReplyChunk | ReplyEnded
