"""What the log says of some requests' attempts: one pass for all who ask at a time."""

import asyncio
from dataclasses import dataclass, field

import structlog
from aiokafka.errors import KafkaError

from contracts import headers as names
from contracts import topics
from contracts.attempts import AttemptEnded, AttemptStarted
from contracts.headers import header
from contracts.record import RequestId
from contracts.requests import RequestFacts
from libs.bus.placing import partition_of
from libs.bus.reading import read_to_end
from libs.bus.records import PoisonError, decode
from libs.bus.settings import BusSettings
from services.relay.core.course import Course

log = structlog.get_logger()

RETRY_S = 0.5
CLOCKS_MS = 60_000
"""By so much those of ingress, relay and broker may differ."""


@dataclass(slots=True)
class _Pass:
    since_ms: int
    courses: dict[RequestId, Course] = field(default_factory=dict)
    done: bool = False


class Courses:
    """Who wakes with a thousand streams does not read the log a thousand times."""

    def __init__(self, bus: BusSettings) -> None:
        self._bus = bus
        self._reading = asyncio.Lock()
        self._next: _Pass | None = None

    async def of(self, request: RequestFacts) -> Course:
        """What was published about a request until now. Waits while the broker is away."""
        since_ms = request.accepted_at_ms - CLOCKS_MS
        if self._next is None:
            self._next = _Pass(since_ms)
        wanted = self._next
        wanted.since_ms = min(wanted.since_ms, since_ms)
        course = wanted.courses.setdefault(request.request_id, Course())
        async with self._reading:
            if not wanted.done:
                self._next = None if self._next is wanted else self._next
                await self._read(wanted)
        return course

    async def _read(self, wanted: _Pass) -> None:
        partitions = {partition_of(self._bus, topics.ATTEMPTS, name) for name in wanted.courses}
        while True:
            try:
                async for raw in read_to_end(
                    self._bus, topics.ATTEMPTS, partitions=partitions, since_ms=max(0, wanted.since_ms)
                ):
                    # Undecoded where they are of other requests: most are.
                    course = wanted.courses.get(header(raw.headers, names.SUBJECT) or "")
                    if course is None:
                        continue
                    try:
                        record = decode(raw).record
                    except PoisonError:
                        continue
                    if isinstance(record, AttemptStarted | AttemptEnded):
                        course.take(record)
                wanted.done = True
                return
            except KafkaError as error:
                log.warning("looked for attempts again", error=type(error).__name__)
                await asyncio.sleep(RETRY_S)
