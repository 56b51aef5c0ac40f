"""Records in, deliveries out: one sink's processor."""

import random
import time
from collections.abc import Sequence

import structlog

from contracts.clock import now_ms
from contracts.record import Record
from libs.bus.processor import Processor, RetryLater
from libs.bus.records import DeadLetter, Received
from libs.telemetry.instruments import SINK_EVENTS, SINK_FAILURES
from services.sinks.core.backoff import pause_s
from services.sinks.core.events import Event
from services.sinks.opening import Opening
from services.sinks.sink import RefusedError, Sink, UnavailableError

log = structlog.get_logger()


class Tally:
    """How a sink does in this process, over all its assignments."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.delivered = 0
        self.failures = 0
        self.in_a_row = 0
        """Failures since something was delivered."""
        self.last_error = ""
        self.last_delivered_at_ms = 0

    def took(self, count: int) -> None:
        """The receiver has so many more."""
        if not count:
            return
        self.delivered += count
        self.in_a_row, self.last_delivered_at_ms = 0, now_ms()
        SINK_EVENTS.add(count, self.name)

    def failed(self, error: Exception) -> None:
        """An attempt failed."""
        self.failures += 1
        self.in_a_row += 1
        self.last_error = str(error)
        SINK_FAILURES.add(1, self.name, type(error).__name__)


class SinkProcessor(Processor[Record]):
    """Gives a batch to the sink. What was taken of a batch that comes again is not given twice by this process."""

    def __init__(self, sink: Sink, opening: Opening, tally: Tally) -> None:
        self._sink = sink
        self._opening = opening
        self._tally = tally
        self._taken: set[str] = set()
        self._not_before_s = 0.0

    async def process(self, batch: Sequence[Received[Record]]) -> None:
        """Raises RetryLater while the receiver takes nothing, RefusedError where it will not have one of these."""
        wait_s = self._not_before_s - time.monotonic()
        if wait_s > 0:
            raise RetryLater(f"{self._tally.name} is tried again in {wait_s:.0f} s: {self._tally.last_error}")
        given = {}
        for received in batch:
            if event := self._opening.event(received):
                given[event.id] = event
        await self._deliver([event for event in given.values() if event.id not in self._taken])
        self._taken -= given.keys()

    async def on_dead_letter(self, letter: DeadLetter) -> None:
        """Nothing: nobody waits for an answer."""

    async def _deliver(self, events: Sequence[Event]) -> None:
        if not events:
            return
        try:
            await self._sink.deliver(events)
        except RefusedError as error:
            self._note(error.delivered, error)
            raise
        except Exception as error:
            known = error if isinstance(error, UnavailableError) else UnavailableError(type(error).__name__)
            self._note(known.delivered, known)
            pause = pause_s(self._tally.in_a_row, random.random(), known.after_s)  # noqa: S311
            self._not_before_s = time.monotonic() + pause
            raise RetryLater(f"{self._tally.name}: {known}") from None
        self._tally.took(len(events))

    def _note(self, delivered: frozenset[str], error: Exception) -> None:
        self._taken |= delivered
        self._tally.took(len(delivered))
        self._tally.failed(error)
