"""The relay's intake: a route is run at most once, whatever is delivered again."""

from hypothesis import given
from hypothesis import strategies as st

from contracts.attempts import AttemptStarted
from contracts.record import Refusal
from contracts.replies import Outcome
from contracts.requests import AddressedRequest, carried
from contracts.routes import RequestRejected
from services.relay.core.ending import Ending, attempt_ended, failed, rejected
from services.relay.core.intake import Cancel, Examine, Fail, Intake, Reject, Republish, Run
from tests.unit.records import NOW_MS, accepted, prompt, request_id, route

REJECTED = RequestRejected(
    **carried(accepted(), AddressedRequest), refusal=Refusal(status=403, message="no"), rejected_at_ms=NOW_MS
)
STARTED = AttemptStarted(request_id=request_id(1), provider_id="stub", relay_id="relay-1", started_at_ms=NOW_MS)
ENDED = attempt_ended(route(), Ending(Outcome.COMPLETED, body="{}"), NOW_MS)


def _intake() -> Intake[str]:
    return Intake(prompt_within_ms=10_000, keep_ms=60_000)


@given(st.lists(st.sampled_from(["route", "prompt", "settle"]), max_size=12))
def test_runs_once_and_gives_every_place_back(steps: list[str]) -> None:
    intake, actions, returned, taken = _intake(), 0, list[str](), list[str]()
    settled = False
    for number, step in enumerate(steps):
        place = f"{step}-{number}"
        if step == "settle":
            if actions:
                returned += intake.settled(request_id(1), NOW_MS)
                settled = True
            continue
        if not settled:
            taken.append(place)
        action = intake.route(route(), place, "", NOW_MS) if step == "route" else intake.prompt(prompt(), place, NOW_MS)
        if action is not None:
            assert isinstance(action, Run)
            actions += 1
    assert actions == (1 if {"route", "prompt"} <= _before_settle(steps) else 0)
    if settled:
        assert sorted(returned) == sorted(taken)


def _before_settle(steps: list[str]) -> set[str]:
    return set(steps) - {"settle"}


def test_an_ended_attempt_is_told_again_and_a_started_one_examined() -> None:
    intake = _intake()
    intake.recall(STARTED, NOW_MS)
    intake.recall(ENDED, NOW_MS)
    intake.recall(STARTED, NOW_MS)
    action = intake.route(route(), "r", "", NOW_MS)
    assert isinstance(action, Republish)
    assert action.ended == ENDED

    intake = _intake()
    intake.recall(STARTED, NOW_MS)
    examined = intake.route(route(), "r", "", NOW_MS)
    assert isinstance(examined, Examine)
    assert intake.prompt(prompt(), "p", NOW_MS) is None
    retold = intake.ended_elsewhere(ENDED)
    assert isinstance(retold, Republish)
    assert intake.settled(request_id(1), NOW_MS) == ["r", "p"]
    assert intake.ended_elsewhere(ENDED) is None


def test_a_rejection_needs_no_prompt() -> None:
    intake = _intake()
    assert isinstance(intake.route(REJECTED, "r", "", NOW_MS), Reject)
    assert intake.prompt(prompt(), "p", NOW_MS) is None
    assert intake.settled(request_id(1), NOW_MS) == ["r", "p"]
    assert not intake.keeps(request_id(1))


def test_a_prompt_that_is_broken_or_never_comes_fails_the_route() -> None:
    intake = _intake()
    intake.route(route(1), "r", "", NOW_MS)
    assert isinstance(intake.broken(request_id(1), NOW_MS), Fail)
    assert intake.broken(request_id(1), NOW_MS) is None
    intake.route(route(2), "r2", "", NOW_MS)
    assert list(intake.expire(NOW_MS + 9_999)) == []
    (overdue,) = intake.expire(NOW_MS + 10_000)
    assert isinstance(overdue, Fail)
    assert overdue.route.request_id == request_id(2)
    assert list(intake.expire(NOW_MS + 20_000)) == []


def test_a_client_that_leaves_before_its_prompt_came_is_not_waited_for() -> None:
    intake = _intake()
    intake.route(route(1), "r", "", NOW_MS)
    intake.route(route(2), "r2", "", NOW_MS)
    (given_up,) = intake.expire(NOW_MS, {request_id(2)})
    assert given_up == Cancel(route(2), "")
    assert intake.prompt(prompt(2), "p2", NOW_MS) is None, "it has been ended"
    assert isinstance(intake.prompt(prompt(1), "p", NOW_MS), Run)
    assert list(intake.expire(NOW_MS, {request_id(1)})) == [], "what runs is stopped elsewhere"


def test_a_prompt_broken_before_its_route_fails_it_when_it_comes() -> None:
    intake = _intake()
    intake.broken(request_id(1), NOW_MS)
    assert isinstance(intake.route(route(), "r", "", NOW_MS), Fail)


def test_a_prompt_without_a_route_gives_its_place_back() -> None:
    intake = _intake()
    intake.prompt(prompt(), "p", NOW_MS)
    assert list(intake.expire(NOW_MS + 60_000)) == [["p"]]
    assert len(intake) == 0


def test_the_route_of_a_running_attempt_is_adopted() -> None:
    intake = _intake()
    intake.adopt(request_id(1), "r", NOW_MS)
    assert intake.prompt(prompt(), "p", NOW_MS) is None
    assert list(intake.expire(NOW_MS + 120_000)) == []
    assert intake.settled(request_id(1), NOW_MS) == ["r", "p"]


def test_the_books_are_told_what_the_client_is() -> None:
    refusal = Refusal(status=504, message="late")
    ended = attempt_ended(route(), failed(refusal), NOW_MS + 5)
    assert ended.usage.outcome is ended.reply.outcome is Outcome.FAILED
    assert ended.usage.status == ended.reply.status == 504
    assert ended.usage.provider_id == "stub"
    told = attempt_ended(REJECTED, rejected(REJECTED), NOW_MS)
    assert told.usage.outcome is Outcome.REJECTED
    assert (told.usage.attempts, told.usage.provider_id) == (0, None)
    undecided = REJECTED.model_copy(update={"failed": True})
    assert attempt_ended(undecided, rejected(undecided), NOW_MS).usage.outcome is Outcome.FAILED
