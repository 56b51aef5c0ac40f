"""A request's way through the services, from its records on the log and its entry in the ledger. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.decisions import PolicyDecided, QuotaReserved
from libs.pricing.usd import usd
from services.console.answers import time_of

WIDTH = 1000


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What was decided, each with the time (epoch, ms) at which the log has it; None where the log has it no more."""

    policy: tuple[int, PolicyDecided] | None = None
    quota: tuple[int, QuotaReserved] | None = None


@dataclass(frozen=True, slots=True)
class Course:
    """When a request came by where, as its entry in the ledger has it; None: it did not, or it is not known."""

    accepted_at: datetime
    ended_at: datetime
    posted_at: datetime
    outcome: str
    provider: str | None
    routed_at: datetime | None = None
    called_at: datetime | None = None
    first_byte_ms: int | None = None
    """After the call."""
    failures: Sequence[tuple[str, str]] = ()
    """Providers that failed before, with the status of each."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened."""

    at: datetime
    after_ms: int
    """Since the request was accepted."""
    service: str
    what: str
    refused: bool
    x: float
    """In a drawing of `WIDTH`."""
    since_x: float
    """Likewise, of what happened before."""


def timeline(course: Course, found: Verdicts) -> list[Step]:
    """All that is known, in the order of time."""
    events = sorted(_events(course, found), key=lambda event: event[0])
    last = max(1, _ms(course.accepted_at, events[-1][0]))
    after = [_ms(course.accepted_at, at) for at, *_ in events]
    x = [round(WIDTH * max(0, after_ms) / last, 1) for after_ms in after]
    return [
        Step(at, after_ms, service, what, refused, until_x, since_x)
        for (at, service, what, refused), after_ms, until_x, since_x in zip(events, after, x, [0.0, *x], strict=False)
    ]


_Event = tuple[datetime, str, str, bool]


def _events(course: Course, found: Verdicts) -> Iterator[_Event]:
    provider = course.provider
    yield course.accepted_at, "ingress", "accepted the request, and wrote it to the log", False
    if found.policy:
        at_ms, policy = found.policy
        yield time_of(at_ms), "policy", _policy(policy), policy.refusal is not None
    if found.quota:
        at_ms, quota = found.quota
        yield time_of(at_ms), "rate-limit", _quota(quota), quota.refusal is not None
    if course.routed_at:
        planned = "had all verdicts, and the keys from key-vault; planned the route"
        refused = course.outcome == "rejected"
        yield course.routed_at, "router", "refused it, as a verdict says" if refused else planned, refused
    if course.called_at:
        failed = "".join(f"; {name} failed before ({status or 'no answer'})" for name, status in course.failures)
        yield course.called_at, "relay", f"called {provider}{failed}", bool(course.failures)
        if course.first_byte_ms is not None:
            first = course.called_at + timedelta(milliseconds=course.first_byte_ms)
            yield first, "relay", f"had the first byte of {provider}", False
    ended = f"ended the answer of {provider}: {course.outcome}" if provider else f"ended it: {course.outcome}"
    yield course.ended_at, "relay", ended, course.outcome in ("failed", "interrupted")
    yield course.posted_at, "metering", "entered it in the ledger", False


def given_back(held: int | None, charged: int) -> int:
    """Microdollars of what was held that the charge did not need."""
    return max(0, (held or 0) - charged)


def _policy(policy: PolicyDecided) -> str:
    version = f"version {policy.policy_version} of the policy" if policy.policy_version else "no policy is set"
    if policy.refusal:
        return f"refused it by {version}: {policy.refusal.message}"
    return f"allowed it ({version}); it leaves {_list(policy.provider_ids)}"


def _quota(quota: QuotaReserved) -> str:
    waited = f" after {quota.waited_ms} ms of waiting" if quota.waited_ms else ""
    if quota.refusal:
        return f"refused it{waited}: {quota.refusal.message}"
    if quota.held is None:
        return f"held nothing{waited}"
    return f"held {usd(quota.held.microdollars)} USD and {quota.held.tokens:,} tokens{waited}"


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) if names else "no provider"


def _ms(since: datetime, at: datetime) -> int:
    return round((at - since).total_seconds() * 1000)
