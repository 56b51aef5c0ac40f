"""A relay that stands still between two of its records adds nothing to a request that is another's by then."""

import pytest

from contracts.attempts import AttemptEnded, AttemptStarted
from contracts.record import Record
from contracts.replies import Outcome, ReplyEnded
from contracts.responses import ResponseStored
from contracts.usage import UsageRecorded
from services.relay.core.ending import Ending, failed
from services.relay.core.job import Job
from services.relay.diary import TOO_LATE, Diary
from services.relay.ownership import LeftError
from tests.unit.bus import PromptLog
from tests.unit.ownership import Owner
from tests.unit.records import NOW_MS, echo_versions, prompt, request_id, route

STORED = ResponseStored(locator="a" * 32, owner="acct:a", partition=0, offset=1, sealed_bytes=1, expires_at_ms=NOW_MS)


class _Relay:
    def __init__(self, relay_id: str, log: PromptLog) -> None:
        self.owner = Owner(relay_id, log)
        self.diary = Diary(log, self.owner)

    async def begin(self) -> None:
        await self.diary.begin(route(), self.owner.member_id, "")

    async def end(self, call: int = 0, *, of_other: bool = False) -> None:
        ending = Ending(Outcome.COMPLETED, body=self.owner.relay_id, call=call, stored=STORED)
        await self.diary.end(route(), ending, "" if of_other else self.owner.member_id, "")


def _job() -> Job:
    return Job(route(), prompt(), echo_versions().newest, None, "")


def _started(relay_id: str, call: int = 0) -> AttemptStarted:
    return AttemptStarted(
        request_id=request_id(1), provider_id="stub", relay_id=relay_id, started_at_ms=NOW_MS, call=call
    )


def _kinds(log: PromptLog) -> list[type[Record]]:
    return [type(record) for record in log.taken]


async def test_an_end_counts_before_what_follows_from_it_is_published() -> None:
    log = PromptLog()
    relay = _Relay("relay-a", log)
    await relay.begin()
    assert await relay.diary.why_not_called(_job(), relay.owner.member_id) is None
    await relay.end()
    assert _kinds(log) == [AttemptStarted, AttemptEnded, ResponseStored, UsageRecorded, ReplyEnded]


async def test_a_relay_that_was_missed_does_not_begin() -> None:
    log = PromptLog()
    relay = _Relay("relay-a", log)
    relay.owner.missed = True
    await relay.begin()
    assert log.taken == []
    with pytest.raises(LeftError):
        await relay.diary.why_not_called(_job(), relay.owner.member_id)


async def test_a_relay_that_was_missed_after_its_record_calls_nobody() -> None:
    log = PromptLog()
    relay = _Relay("relay-a", log)
    await relay.begin()
    relay.owner.missed = True
    assert await relay.diary.why_not_called(_job(), relay.owner.member_id) == TOO_LATE
    await relay.diary.end(route(), failed(TOO_LATE, attempts=0), relay.owner.member_id, "")
    (usage,) = [one for one in log.taken if isinstance(one, UsageRecorded)]
    assert (usage.status, usage.attempts, usage.tokens.output_tokens) == (503, 0, 0)


async def test_the_end_of_a_call_that_another_has_taken_the_place_of_is_refused() -> None:
    """It stood still after it had looked: the order on the log decides."""
    log = PromptLog()
    slow, fast = _Relay("relay-a", log), _Relay("relay-b", log)
    await slow.begin()
    slow.owner.missed = True
    log.taken.append(_started("relay-b", call=1))
    with pytest.raises(LeftError):
        await slow.end()
    assert _kinds(log) == [AttemptStarted, AttemptStarted, AttemptEnded], "no usage, no reply, nothing stored"
    await fast.end(call=1, of_other=True)
    (usage,) = [one for one in log.taken if isinstance(one, UsageRecorded)]
    assert usage == next(one.usage for one in log.taken if isinstance(one, AttemptEnded) and one.call == 1)


async def test_of_two_ends_of_one_call_both_relays_publish_the_first() -> None:
    """One takes the other for dead and ends its attempt, in the moment in which that ends it itself."""
    log = PromptLog()
    slow, fast = _Relay("relay-a", log), _Relay("relay-b", log)
    await slow.begin()
    slow.owner.missed = True
    await slow.end()
    await fast.end(of_other=True)
    replies = [one.body for one in log.taken if isinstance(one, ReplyEnded)]
    assert replies == ["relay-a", "relay-a"]
    assert len({one.encode() for one in log.taken if isinstance(one, UsageRecorded)}) == 1
