"""What the stub needs of every protocol."""

from typing import Any, Protocol

import orjson

from deploy.local.stub.answers import StubAnswer, StubRequest

EVENTS = b"text/event-stream"


class StubProtocol(Protocol):
    """One protocol, from the provider's side. A stream is an opening, the words, and a closing."""

    content_type: bytes
    """Of a stream."""
    call_prefix: str

    def parse(self, path: str, body: dict[str, Any]) -> StubRequest:
        """The request in a body that was sent to a path."""

    def whole(self, answer: StubAnswer) -> dict[str, Any]:
        """An answer that is not streamed."""

    def opening(self, answer: StubAnswer) -> list[bytes]:
        """What comes before the words: thoughts among them."""

    def word(self, answer: StubAnswer, number: int) -> bytes:
        """One word of a stream."""

    def closing(self, answer: StubAnswer) -> list[bytes]:
        """What comes after the words: tool calls, the reason, the counts."""

    def failure(self, message: str) -> bytes:
        """An error in the middle of a stream."""

    def error(self, status: int, message: str) -> Any:
        """The body of an HTTP error."""


def data_event(content: Any) -> bytes:
    """A server-sent event without a name."""
    return b"data: %b\n\n" % orjson.dumps(content)


def named_event(content: dict[str, Any]) -> bytes:
    """A server-sent event that is named by its ``type``."""
    return b"event: %b\ndata: %b\n\n" % (content["type"].encode(), orjson.dumps(content))
