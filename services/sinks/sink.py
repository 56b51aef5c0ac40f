"""What a sink is: the protocol that those of Sluice and your own have in common. See docs/sinks.md."""

from collections.abc import Sequence
from typing import Protocol

from services.sinks.core.events import Event


class SinkError(Exception):
    """Events were not taken. The message goes to operators: a status, an error's class; no secret, no body."""

    def __init__(self, message: str, delivered: Sequence[str] = ()) -> None:
        """
        Args:
            delivered: IDs of those of the batch that were taken all the same, and are not given again.
        """
        super().__init__(message[:300])
        self.delivered = frozenset(delivered)


class UnavailableError(SinkError):
    """The receiver takes nothing now: all that was not delivered comes again, later and later, without end."""

    def __init__(self, message: str, delivered: Sequence[str] = (), *, after_s: float | None = None) -> None:
        """
        Args:
            after_s: the receiver asks for this pause (``Retry-After``).
        """
        super().__init__(message, delivered)
        self.after_s = after_s


class RefusedError(SinkError):
    """The receiver will not have one of these events, however often. They come again alone: what is refused then, while
    others are taken, becomes a dead letter.
    """


class Sink(Protocol):
    """Takes events to another system. No two of its methods run at the same time."""

    most_events: int
    """In one batch: what can be delivered in some ten seconds."""

    async def start(self) -> None:
        """Makes ready; connects to nothing that may be away."""

    async def deliver(self, events: Sequence[Event]) -> None:
        """Returns when the receiver has all of them for good. An event may come again; its ``id`` is then the same.

        Raises:
            UnavailableError: not now.
            RefusedError: not this one.
            Exception: taken as `UnavailableError`: nothing is lost by a mistake in a sink.
        """

    async def stop(self) -> None:
        """Closes what is open."""
