"""A request's way: in the order of time, with what was decided in plain words."""

from datetime import UTC, datetime, timedelta

from contracts.decisions import Held, PolicyDecided, QuotaReserved
from contracts.record import Refusal
from services.console.core.timeline import Course, Verdicts, given_back, timeline

BEGAN = datetime(2026, 11, 26, 12, tzinfo=UTC)
BEGAN_MS = int(BEGAN.timestamp() * 1000)
ID = "01936f5e-0000-7000-8000-000000000000"
HELD = Held(owner="acct:a", model="m", microdollars=131_000, tokens=4_096, at_ms=BEGAN_MS, expires_at_ms=BEGAN_MS + 1)


def _after(milliseconds: int) -> datetime:
    return BEGAN + timedelta(milliseconds=milliseconds)


def test_the_way_of_a_request_that_was_answered() -> None:
    policy = PolicyDecided(request_id=ID, subject="acct:a", provider_ids=["openai"], policy_version=3)
    quota = QuotaReserved(request_id=ID, subject="acct:a", held=HELD, waited_ms=20)
    found = Verdicts((BEGAN_MS + 4, policy), (BEGAN_MS + 24, quota))
    course = Course(
        BEGAN, _after(100), _after(200), "completed", "openai", _after(30), _after(40), 50, [("claude", "503")]
    )
    steps = timeline(course, found)
    assert [(one.service, one.after_ms, one.refused) for one in steps] == [
        ("ingress", 0, False),
        ("policy", 4, False),
        ("rate-limit", 24, False),
        ("router", 30, False),
        ("relay", 40, True),
        ("relay", 90, False),
        ("relay", 100, False),
        ("metering", 200, False),
    ]
    assert steps[4].what == "called openai; claude failed before (503)"
    assert "version 3" in steps[1].what
    assert "openai" in steps[1].what
    assert "held 0.131000 USD and 4,096 tokens after 20 ms of waiting" in steps[2].what
    assert [one.x for one in steps] == [0, 20, 120, 150, 200, 450, 500, 1000]


def test_a_refusal_is_said_in_its_words() -> None:
    refusal = Refusal(status=403, message="The policy does not allow it.")
    policy = PolicyDecided(request_id=ID, subject="acct:a", refusal=refusal)
    course = Course(BEGAN, _after(9), _after(12), "rejected", None, _after(6))
    steps = timeline(course, Verdicts(policy=(BEGAN_MS + 4, policy)))
    assert [(one.service, one.refused) for one in steps[1:3]] == [("policy", True), ("router", True)]
    assert refusal.message in steps[1].what


def test_without_the_log_the_ledger_says_the_rest() -> None:
    steps = timeline(Course(BEGAN, _after(0), _after(0), "completed", "openai"), Verdicts())
    assert [one.service for one in steps] == ["ingress", "relay", "metering"]


def test_what_is_given_back_is_never_less_than_nothing() -> None:
    assert [given_back(*one) for one in ((100, 30), (10, 30), (None, 30))] == [70, 0, 0]
