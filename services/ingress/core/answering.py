"""From the records of an answer to the ASGI messages of its client. Pure."""

from contracts.record import Refusal
from contracts.replies import EVENTS, Outcome, ReplyChunk, ReplyEnded, ReplyStarted
from contracts.requests import Surface
from libs.chat.surfaces.registry import DIALECTS
from services.ingress.core.answers import (
    Message,
    RawHeaders,
    refused,
    reply_headers,
    stream_data,
    stream_start,
    whole,
)

SILENCE = b": keep-alive\n"
"""A comment. It has no empty line after it: parsers that keep the last ID would take that for an event (openai 2.x)."""


class Answering:
    """One answer, from its first record to its end."""

    __slots__ = ("_content_type", "_last", "_looked_up", "_surface", "began", "headers")

    def __init__(self, surface: Surface, headers: RawHeaders, *, looked_up: bool = False) -> None:
        """
        Args:
            headers: of the response, whatever it is.
            looked_up: see `reply_headers`.
        """
        self._surface = surface
        self.headers = headers
        self._looked_up = looked_up
        self.began = False
        """The client has the status 200; errors travel inside the stream."""
        self._content_type = EVENTS
        self._last = b""

    def started(self, reply: ReplyStarted, headers: RawHeaders) -> list[Message]:
        """
        Args:
            headers: more of them.
        """
        if self.began:
            return []
        self.began, self._content_type = True, reply.content_type
        return [
            stream_start(
                [*self.headers, *headers, *reply_headers(reply, looked_up=self._looked_up)], reply.content_type
            )
        ]

    def chunk(self, chunk: ReplyChunk) -> Message:
        """A piece of the stream."""
        self._last = chunk.content
        return stream_data(chunk.content)

    def silence(self) -> list[Message]:
        """Something that keeps the connection, where that may be said."""
        return [stream_data(SILENCE)] if self.began and self._content_type == EVENTS else []

    def ended(self, reply: ReplyEnded, headers: RawHeaders) -> list[Message]:
        """
        Args:
            headers: more of them, where it has not begun.
        """
        refusal, headers = reply.refusal, [*self.headers, *reply_headers(reply, looked_up=self._looked_up), *headers]
        if self.began:
            if self._content_type != EVENTS and refusal:
                # Nothing can be said within a recording: a connection that ends before the answer does is the error.
                return []
            return [stream_data(reply.tail or (self._error(refusal) if refusal else ""), last=True)]
        if refusal is not None:
            return self.refused(refusal, headers)
        if reply.tail is not None and reply.outcome is Outcome.COMPLETED:
            return [stream_start(headers), stream_data(reply.tail, last=True)]
        return whole(reply.status, (reply.body or "").encode(), headers, reply.content_type)

    def refused(self, refusal: Refusal, headers: RawHeaders) -> list[Message]:
        """An error before the first byte."""
        return refused(refusal, headers, self._surface)

    def _error(self, refusal: Refusal) -> str:
        return DIALECTS[self._surface].error_event(refusal.message, refusal.status, self._last.decode())
