"""How what comes back from a provider is read: as a stream, or whole. Sans-I/O."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from contracts.quantities import Quantity
from contracts.usage import ServiceTier, TokenUsage
from libs.chat.providers.protocol import Addressed, Framing, Outgoing


class Stream(Protocol):
    """A provider's events on their way to a client."""

    @property
    def delivered_bytes(self) -> int:
        """The text that the client was sent, in bytes of UTF-8."""

    @property
    def done(self) -> bool:
        """The provider has sent its last event."""

    @property
    def finished(self) -> bool:
        """The model has come to its end; only counts may follow."""

    @property
    def usage(self) -> TokenUsage | None:
        """The provider's counts, once they are complete."""

    def event(self, data: str) -> str:
        """Takes the ``data`` of one event; returns what the client gets now.

        Raises:
            ProtocolError: it makes no sense.
            ProviderFailure: it is an error.
        """

    def finish(self, counted: TokenUsage | None) -> str:
        """The end of the stream. ``counted`` is our own count, where the provider gave none. Raises as `event` does."""


class Rewritten:
    """A stream whose text is changed on its way to the client. See `Stream`."""

    def __init__(self, stream: Stream, *, end: Callable[[str], str], event: Callable[[str], str] | None = None) -> None:
        """
        Args:
            end: of the text that `finish` gives.
            event: of all other text; None: it stays as it is.
        """
        self._stream = stream
        self._end = end
        self.event = stream.event if event is None else lambda data: event(stream.event(data))

    @property
    def usage(self) -> TokenUsage | None:
        """See `Stream`."""
        return self._stream.usage

    @property
    def delivered_bytes(self) -> int:
        """See `Stream`."""
        return self._stream.delivered_bytes

    @property
    def done(self) -> bool:
        """See `Stream`."""
        return self._stream.done

    @property
    def finished(self) -> bool:
        """See `Stream`."""
        return self._stream.finished

    def finish(self, counted: TokenUsage | None) -> str:
        """See `Stream`."""
        return self._end(self._stream.finish(counted))


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, for the client, with what the books need."""

    usage: TokenUsage | None
    delivered_bytes: int
    body: Callable[[TokenUsage | None], str]
    """The JSON for the client, given our own count where the provider gave none. Raises ProtocolError."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Calls of one provider whose answers become one: each has its exchange, whose stream and `whole` are to be used.

    What the streams of all give goes into the stream of the whole, and its `whole` takes nothing.
    """

    count: int
    begin: Callable[[int], "Exchange"]
    """Of the part's number. Made when its turn has come, as each has a copy of the request."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What is sent, and how what comes back is read."""

    outgoing: Outgoing
    authorize: Callable[[str, str, bytes], Addressed]
    framing: Callable[[], Framing]
    stream: Stream
    whole: Callable[[bytes], Answer]
    """Raises ProtocolError, ProviderFailure."""
    recording: bool = False
    """The answer is bytes that pass as they are; its stream has no events."""
    unstreamed: bool = False
    """The answer comes whole, whatever the client wants: `whole` writes the events of one that wants a stream."""
    content_type: str | None = None
    """Of the answer, where it is neither JSON nor events."""
    quantities: Callable[[], Sequence[Quantity]] = tuple
    """What was used beside tokens, as far as the answer has come."""
    tier: Callable[[], ServiceTier | None] = lambda: None
    """In which tier the provider runs it, as far as the answer has come; None: its ordinary one."""
    parts: Parts | None = None
    """It is several calls."""
