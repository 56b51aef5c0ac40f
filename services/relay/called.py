"""What has become of a call so far: its target, what was sent, where the answer goes."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from weakref import WeakMethod

from contracts.clock import now_ms
from contracts.routes import Target
from contracts.usage import ServiceTier
from libs.chat.providers.answers import Exchange
from services.relay.answer_cache import Lookup
from services.relay.core.job import Job
from services.relay.core.keeping import Keeper
from services.relay.counting import Counted, Counting
from services.relay.left import ReadingOn
from services.relay.parts import Part
from services.relay.reply_stream import ReplyStream


@dataclass(slots=True)
class Client:
    """Where an answer goes."""

    stream: ReplyStream
    lookup: Lookup | None
    """Takes down what the cache may keep."""
    reading_on: ReadingOn
    on_left: WeakMethod[Callable[[], None]]
    """It reads nothing any more, and is taken for gone. Weak, so that reference counting frees an attempt with its
    prompt: left to the garbage collector, 64 clients' attempts cost the relay pauses of 50 to 200 ms."""
    sent: str | bytes = ""
    """The last events of a stream, or the last piece of a recording."""
    waiting_since_s: float = 0.0
    """When the first provider was called, by the monotonic clock."""

    @property
    def waited_ms(self) -> int:
        """For providers."""
        return int((time.monotonic() - self.waiting_since_s) * 1000) if self.waiting_since_s else 0


@dataclass(slots=True)
class Called:
    """One target's turn."""

    job: Job
    target: Target
    counting: Counting
    client: Client
    exchange: Exchange | None = None
    """Once it is known what to send."""
    keeper: Keeper | None = None
    """Where the client wants the answer stored."""
    at_s: float = 0.0
    """When the provider was called, by the monotonic clock; 0: it was not."""
    at_ms: int | None = None
    """The same by the clock."""
    first_byte_ms: int | None = None
    parts: Sequence[Part] = ()
    """Of a call that is several: those that have begun."""
    about: dict[str, str] = field(init=False)
    """Of log lines."""

    def __post_init__(self) -> None:
        self.about = {"request_id": self.job.route.request_id, "traceparent": self.job.traceparent}

    @property
    def tier(self) -> ServiceTier | None:
        """In which the provider runs it."""
        return self.exchange.tier() if self.exchange else None

    @property
    def worked_s(self) -> float:
        """Since the provider was called."""
        return time.monotonic() - self.at_s

    @property
    def counted(self) -> Counted:
        """What it is booked with, should it end here."""
        if self.exchange is None:
            return self.counting.of_none()
        answer = self.exchange.stream
        return self.counting.tokens(self.exchange, answer.usage, answer.delivered_bytes)

    def begin(self) -> None:
        """The provider is called now."""
        self.at_s, self.at_ms = time.monotonic(), now_ms()
        self.client.waiting_since_s = self.client.waiting_since_s or self.at_s

    def note_first_byte(self) -> None:
        """The answer begins."""
        if self.first_byte_ms is None:
            self.first_byte_ms = int(self.worked_s * 1000)
