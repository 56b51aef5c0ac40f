"""Which records of a stream are read when its relay has died."""

from typing import Any, cast

import pytest

from contracts.attempts import AttemptStarted
from contracts.prompts import PromptSubmitted
from contracts.record import RequestId
from contracts.routes import RoutePlanned
from services.relay.core.intake import Examine
from services.relay.core.job import Job
from services.relay.examination import Examination, Judge
from tests.unit.records import NOW_MS, prompt, request_id, route


class _Judge:
    closed = False
    running = False

    def runs(self, request_id: RequestId) -> bool:
        return self.running

    def prompt_of(self, request_id: RequestId) -> PromptSubmitted | None:
        return prompt()

    async def job_of(self, route: RoutePlanned, prompt: PromptSubmitted, trace: str) -> Job | None:
        return None


@pytest.mark.parametrize("started_after_ms", [0, 40, 600_000])
async def test_a_stream_is_read_from_its_first_call_on(started_after_ms: int) -> None:
    """The relay that was started last may have gone on with it, long after its beginning."""
    planned = route()
    started = AttemptStarted(
        request_id=request_id(1),
        provider_id="stub",
        relay_id="relay-2",
        started_at_ms=planned.accepted_at_ms + started_after_ms,
    )
    examination = Examination(cast("Any", None), "relay-3", cast("Judge", _Judge()))
    examination.add(Examine(planned, started, ""))
    assert await examination._dead(["relay-2-member"]) == {}
    (dead,) = (await examination._dead([])).values()
    assert dead.stream.since_ms == planned.accepted_at_ms <= NOW_MS


async def test_a_clock_that_is_behind_hides_nothing() -> None:
    planned = route()
    before_ms = planned.accepted_at_ms - 5_000
    started = AttemptStarted(request_id=request_id(1), provider_id="stub", relay_id="relay-2", started_at_ms=before_ms)
    examination = Examination(cast("Any", None), "relay-3", cast("Judge", _Judge()))
    examination.add(Examine(planned, started, ""))
    (dead,) = (await examination._dead([])).values()
    assert dead.stream.since_ms == before_ms


async def test_a_call_of_its_own_that_does_not_run_is_dead() -> None:
    """It published that it goes on with a stream, and never read that it may: the broker went away."""
    started = AttemptStarted(
        request_id=request_id(1), provider_id="stub", relay_id="relay-3", started_at_ms=NOW_MS, call=1
    )
    judge = _Judge()
    examination = Examination(cast("Any", None), "relay-3", cast("Judge", judge))
    examination.add(Examine(route(), started, ""))
    (dead,) = (await examination._dead(["relay-3-member"])).values()
    assert dead.call == 1
    judge.running = True
    assert await examination._dead(["relay-3-member"]) == {}
