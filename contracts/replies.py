"""``gateway.replies.v1``: the answer on its way to the ingress that holds the client's connection, and what that
ingress is asked for."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from .decisions import QuotaWindow
from .headers import CALL, POSITION, REPLY_TO
from .record import JSON, NO_HEADERS, Refusal, ReplyAddress, RequestId, RequestRecord, empty
from .word import Word

STREAM_WINDOW = 64 * 1024
"""Bytes of a stream that its client has not been sent: with more the relay writes no further chunk. So neither relay,
broker nor ingress hold what somebody does not read; the provider waits. It holds for streams that end with their
client's connection (`Lasting.CONNECTION`); others have no window."""


class Outcome(Word):
    """How a request ended; each ends in exactly one of these ways."""

    COMPLETED = "completed"
    REJECTED = "rejected"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


Call = Annotated[int, Field(ge=0)]
"""How many calls of providers a stream had before the one that this comes from. Another call goes on with it when a
relay has died: `ReplyStarted` says so, and from then on what comes of earlier calls does not count any more."""
EVENTS = "text/event-stream; charset=utf-8"
PIECE = "application/octet-stream"


class ReplyStarted(RequestRecord):
    """The provider's first bytes of a stream are here; from now on errors travel inside it.

    Once more, with a greater ``call``: from here on the stream is that call's, of the relay that is named.
    """

    reply_to: ReplyAddress
    reader: str = ""
    """See `reader_of`."""
    content_type: str = EVENTS
    windows: list[QuotaWindow] = empty(list)
    waited_ms: Annotated[int, Field(ge=0)] = 0
    """See `QuotaReserved.waited_ms`."""
    provider_id: str | None = None
    tried: list[str] = empty(list)
    """See `ReplyEnded.tried`."""
    dropped: list[str] = empty(list)
    """See `ReplyEnded.dropped`."""
    model: str | None = None
    """See `ReplyEnded.model`."""
    cached_s: Annotated[int, Field(ge=0)] | None = None
    """See `ReplyEnded.cached_s`."""
    upstream_ms: Annotated[int, Field(ge=0)] = 0
    """See `ReplyEnded.upstream_ms`."""
    call: Call = 0
    relay_id: str = ""
    """Who goes on with it: its `contracts.attempts.AttemptStarted` of this call counts."""


class ReplyChunk(RequestRecord):
    """A piece of a stream, ready for the client: it is the record's whole value, sealed where the answer is kept."""

    reply_to: ReplyAddress
    at: Annotated[int, Field(ge=0)]
    """How many bytes of the stream came before: a sequence number that counts bytes, as TCP's do."""
    content: Annotated[bytes, Field(repr=False)]
    call: Call = 0

    @property
    def end(self) -> int:
        """How many bytes of the stream there are with it."""
        return self.at + len(self.content)

    @property
    def event_id(self) -> str:
        return f"{self.request_id}/{self.at}" + (f"/{self.call}" if self.call else "")

    @property
    def media_type(self) -> str:
        return PIECE

    @property
    def own_headers(self) -> list[tuple[str, bytes]]:
        position = (POSITION, b"%d" % self.at)
        return [position, (CALL, b"%d" % self.call)] if self.call else [position]

    def encode(self) -> bytes:
        return self.content

    @classmethod
    def decode(
        cls, value: bytes, subject: str, media_type: str = JSON, headers: Mapping[str, bytes] = NO_HEADERS
    ) -> Self:
        address = ReplyAddress.decode(headers.get(REPLY_TO, b"").decode())
        at, call = int(headers.get(POSITION, b"")), int(headers.get(CALL, b"0"))
        return cls(request_id=subject, reply_to=address, at=at, content=value, call=call)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "format": "binary", "title": cls.__name__, "description": cls.__doc__}


class ReplyEnded(RequestRecord):
    """The last record of a reply. ``body`` is the whole answer of a request that did not stream."""

    reply_to: ReplyAddress
    reader: str = ""
    """See `reader_of`."""
    outcome: Outcome
    status: Annotated[int, Field(ge=200, le=599)] = 200
    refusal: Refusal | None = None
    body: str | None = None
    content_type: str = JSON
    """Of the body."""
    tail: str | None = None
    """The last events of a stream. They travel here, so that no client sees the end of what is not in the books."""
    sealed: Annotated[str, Field(repr=False)] = ""
    """Body and tail of an answer that is kept, in JSON, sealed, and in base64; they are not beside it then."""
    unbilled: bool = False
    """It has cost nobody anything: the same ``Idempotency-Key`` may be used again."""
    size: Annotated[int, Field(ge=0)] = 0
    """How many bytes of `ReplyChunk` records came before the tail."""
    windows: list[QuotaWindow] = empty(list)
    waited_ms: Annotated[int, Field(ge=0)] = 0
    """See `QuotaReserved.waited_ms`."""
    provider_id: str | None = None
    """Who answered, or was asked last."""
    tried: list[str] = empty(list)
    """Providers that failed before, as ``provider=status``."""
    dropped: list[str] = empty(list)
    """Fields of the client's request that the provider was not sent: its protocol lacks them, or it refuses them."""
    model: str | None = None
    """Which model stood in; None: the one that was asked for, or that its name stands for."""
    cached_s: Annotated[int, Field(ge=0)] | None = None
    """How old the answer is that came from the cache; None: of a provider."""
    call: Call = 0
    upstream_ms: Annotated[int, Field(ge=0)] = 0
    """How long providers were waited for, until a stream's first byte or the end of a whole answer: the rest is the
    gateway's own delay."""
    input_tokens: Annotated[int, Field(ge=0)] | None = None
    """Of a whole answer, as its provider counted them; None where it did not."""


class PromptWanted(RequestRecord):
    """A request whose prompt waits has a route: its ingress is to publish the prompt now. No client sees this."""

    reply_to: ReplyAddress


def reader_of(account_id: str | None, address: str | None) -> str:
    """Who may read an answer again: its account, or the address of a client without one."""
    return f"acct:{account_id}" if account_id else f"ip:{address}"


def refused(request_id: RequestId, reply_to: ReplyAddress, refusal: Refusal) -> ReplyEnded:
    """The last record of a reply that Sluice ends itself: the client gets the refusal, and no part of an answer."""
    return ReplyEnded(
        request_id=request_id,
        reply_to=reply_to,
        outcome=Outcome.FAILED,
        status=refusal.status,
        refusal=refusal,
        unbilled=True,
    )


Reply = ReplyStarted | ReplyChunk | ReplyEnded
ReplyRecord = Reply | PromptWanted
