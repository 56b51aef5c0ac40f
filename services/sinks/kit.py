"""A test kit for sinks, those of Sluice and your own: what every one of them must do. See docs/sinks.md.

It needs no broker: a test gives it a sink, and the receiver that the sink delivers to.
"""

from collections.abc import Collection
from enum import Enum, auto
from typing import Protocol

from services.sinks.core.events import Event
from services.sinks.sink import RefusedError, Sink, UnavailableError

REQUEST = "01a20fa9-0000-765b-82a0-000000000001"


class Mood(Enum):
    """What a receiver does with what it is sent."""

    TAKES = auto()
    REFUSES = auto()
    """It is there, and will not have this."""
    AWAY = auto()
    """It cannot be reached, or answers with a failure of its own."""


class Receiver(Protocol):
    """The other end, in a test."""

    mood: Mood

    def taken(self) -> Collection[str]:
        """IDs of the events that it has; one that came twice is there twice, unless the receiver dedupes."""


def sample(number: int = 1, *, model: str = "stub/echo") -> Event:
    """A charge as sinks are given it, always the same for the same number."""
    request_id = f"{REQUEST[:-12]}{number:012x}"
    data = {
        "charge_id": request_id,
        "subject": "org:o",
        "account_id": "a",
        "organization_id": "o",
        "key_fingerprint": None,
        "model": model,
        "provider_id": "stub",
        "outcome": "completed",
        "tokens": {"input_tokens": 3, "output_tokens": 5},
        "cost_microdollars": 46,
        "labels": {"tags": ["nightly", "größer <ü>"], "customer": "c"},
        "accepted_at_ms": 1_795_000_000_000,
        "posted_at_ms": 1_795_000_001_000,
        "balance": None,
    }
    return Event(f"evt_{number:032x}", "charge.posted", 1_795_000_001_000, request_id, data)


async def check_sink(sink: Sink, receiver: Receiver) -> None:
    """Tries a sink, which it starts and stops.

    Raises:
        AssertionError: it does not keep the protocol; the message says where.
    """
    assert 1 <= sink.most_events <= 500, "most_events is the size of a batch"
    receiver.mood = Mood.TAKES
    await sink.start()
    try:
        await sink.deliver([])
        first = [sample(number) for number in range(1, min(sink.most_events, 5) + 1)]
        await sink.deliver(first)
        assert set(receiver.taken()) == {event.id for event in first}, "deliver returned before the receiver had all"
        await sink.deliver(first[:1])
        assert set(receiver.taken()) == {event.id for event in first}, "an event that comes again has another ID"
        large = sample(100, model="ü" * 10_000)
        await sink.deliver([large])
        assert large.id in receiver.taken(), "a large event did not come through"
        await _away(sink, receiver)
        await _refused(sink, receiver)
    finally:
        await sink.stop()


async def _away(sink: Sink, receiver: Receiver) -> None:
    receiver.mood = Mood.AWAY
    event = sample(200)
    try:
        await sink.deliver([event])
    except UnavailableError as error:
        assert event.id not in error.delivered, "it says that an event was delivered which was not"
    else:
        raise AssertionError("a receiver that is away is UnavailableError")
    receiver.mood = Mood.TAKES
    await sink.deliver([event])
    assert event.id in receiver.taken(), "after the receiver came back an event was not delivered"


async def _refused(sink: Sink, receiver: Receiver) -> None:
    receiver.mood = Mood.REFUSES
    try:
        await sink.deliver([sample(300)])
    except RefusedError:
        return
    finally:
        receiver.mood = Mood.TAKES
    raise AssertionError("an event that the receiver will not have is RefusedError")
