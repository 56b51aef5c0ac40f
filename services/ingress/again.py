"""Answers that are given again to who sends their ``Idempotency-Key``."""

from dataclasses import dataclass

from starlette.types import Send

from contracts.replies import Reply, ReplyEnded
from contracts.requests import Surface
from services.ingress.core.answering import Answering
from services.ingress.core.answers import RawHeaders
from services.ingress.core.idempotency import Held
from services.ingress.core.stream_ids import StreamId
from services.ingress.door import Stay
from services.ingress.giving import FromByte, given
from services.ingress.reading import Reading


@dataclass(frozen=True, slots=True)
class Again:
    """The answer to the request that the key stands for."""

    held: Held
    reading: Reading
    first: Reply

    @property
    def headers(self) -> RawHeaders:
        """Of the response."""
        held = self.held
        stream = StreamId(held.partition, self.reading.begins_at, held.request_id, kept=True)
        return [
            (b"x-request-id", held.request_id.encode()),
            (b"x-sluice-stream", stream.encode().encode()),
            (b"idempotent-replayed", b"true"),
        ]


async def give_again(again: Again, surface: Surface, at: int, stay: Stay, send: Send) -> int:
    """Sends an answer that was given before, or is being given, from a byte on. Returns its status."""
    stay.answered(0)
    status = 500
    async for reply, messages in given(again.reading, Answering(surface, again.headers), FromByte(at), again.first):
        for message in messages:
            await send(message)
        status = reply.status if isinstance(reply, ReplyEnded) else status
    return status
