"""Answers off the log on their way to a client, whichever way it asked: by stream, by key, or by response."""

from collections.abc import AsyncIterator
from typing import Protocol

from contracts.replies import Reply, ReplyEnded, ReplyStarted
from services.ingress.attending import LEFT
from services.ingress.core.answering import Answering
from services.ingress.core.answers import Message
from services.ingress.reading import Reading


class Part(Protocol):
    """What of an answer is wanted."""

    def take(self, content: bytes) -> bytes:
        """Of whole events."""

    def last(self, ended: ReplyEnded) -> bytes:
        """Of the last ones."""


class FromByte:
    """From a byte on; readings begin there by themselves."""

    def __init__(self, at: int) -> None:
        self._at = at

    def take(self, content: bytes) -> bytes:
        """See `Part`."""
        return content

    def last(self, ended: ReplyEnded) -> bytes:
        """See `Part`."""
        return (ended.tail or "").encode()[max(0, self._at - ended.size) :]


async def given(
    reading: Reading, answering: Answering, part: Part, first: Reply | None = None
) -> AsyncIterator[tuple[Reply | None, list[Message]]]:
    """The records of an answer after its first, the last one `ReplyEnded`; each with what its client gets.

    An answer does not begin before it is known that there is more: who has it all may be given another status. One that
    breaks off here ends without a word: a connection that ends in the middle is what makes its client ask again.

    Args:
        first: its first record, where that was read.
    """
    begins: ReplyStarted | None = None
    reply = first or await reading.next()
    while not isinstance(reply, ReplyEnded):
        if isinstance(reply, ReplyStarted):
            begins = begins or reply
        else:
            messages = answering.started(begins, []) if begins else []
            content = part.take(reply.content) if reply else b""
            if reply is None:
                messages += answering.silence()
            elif content:
                messages.append(answering.chunk(reply.model_copy(update={"content": content})))
            yield reply, messages
        reply = await reading.next()
    if reading.answered:
        last = {"tail": part.last(reply).decode(errors="replace")} if reply.tail is not None else {}
        messages = answering.started(begins, []) if begins else []
        yield reply, messages + answering.ended(reply.model_copy(update=last), [])
    else:
        said = not answering.began and reply.refusal is not LEFT
        yield reply, answering.ended(reply, []) if said else []
