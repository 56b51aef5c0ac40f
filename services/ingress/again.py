"""Answers that are given again to who sends their ``Idempotency-Key``."""

from dataclasses import dataclass

from starlette.types import Send

from contracts.replies import Reply, ReplyEnded, ReplyStarted
from contracts.requests import Surface
from services.ingress.core.answering import Answering
from services.ingress.core.idempotency import Held
from services.ingress.core.stream_ids import StreamId
from services.ingress.door import Stay
from services.ingress.reading import Reading
from services.ingress.streams import LEFT, rest_of_tail


@dataclass(frozen=True, slots=True)
class Again:
    """The answer to the request that the key stands for."""

    held: Held
    reading: Reading
    first: Reply


async def give_again(again: Again, surface: Surface, at: int, stay: Stay, send: Send) -> int:
    """Sends an answer that was given before, or is being given, from a byte on. Returns its status."""
    held, reading = again.held, again.reading
    stream = StreamId(held.partition, reading.begins_at, held.request_id, kept=True)
    headers = [
        (b"x-request-id", held.request_id.encode()),
        (b"x-sluice-stream", stream.encode().encode()),
        (b"idempotent-replayed", b"true"),
    ]
    answering = Answering(surface, headers)
    reply: Reply | None = again.first
    stay.answered(0)
    while not isinstance(reply, ReplyEnded):
        if reply is None:
            messages = answering.silence()
        elif isinstance(reply, ReplyStarted):
            messages = answering.started(reply, [])
        else:
            messages = [answering.chunk(reply)]
        for message in messages:
            await send(message)
        reply = await reading.next()
    if not reading.answered and (answering.began or reply.refusal is LEFT):
        # A connection that ends in the middle is what makes the client ask again.
        return reply.status
    if reply.tail is not None:
        reply = reply.model_copy(update={"tail": rest_of_tail(reply, at).decode(errors="replace")})
    for message in answering.ended(reply, []):
        await send(message)
    return reply.status
