"""A request's way through the services, from its records on the log and its entry in the ledger. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from contracts.decisions import PolicyDecided, QuotaReserved
from libs.pricing.usd import usd

WIDTH = 1000


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What was decided, each with the time (epoch, ms) at which the log has it; None where the log has it no more."""

    policy: tuple[int, PolicyDecided] | None = None
    quota: tuple[int, QuotaReserved] | None = None


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


def timeline(
    accepted_at: datetime, ended_at: datetime, posted_at: datetime, outcome: str, provider: str | None, found: Verdicts
) -> list[Step]:
    """All that is known, in the order of time."""
    events: list[tuple[datetime, str, str, bool]] = [
        (accepted_at, "ingress", "accepted the request, and wrote it to the log", False)
    ]
    if found.policy:
        at_ms, policy = found.policy
        events.append((_time(at_ms), "policy", _policy(policy), policy.refusal is not None))
    if found.quota:
        at_ms, quota = found.quota
        events.append((_time(at_ms), "rate-limit", _quota(quota), quota.refusal is not None))
    what = f"ended the answer of {provider}: {outcome}" if provider else f"ended it: {outcome}"
    events.append((ended_at, "relay", what, outcome in ("failed", "interrupted")))
    events.append((posted_at, "metering", "entered it in the ledger", False))
    events.sort(key=lambda event: event[0])
    last = max(1, _ms(accepted_at, events[-1][0]))
    return [
        Step(at, _ms(accepted_at, at), service, what, refused, round(WIDTH * max(0, _ms(accepted_at, at)) / last, 1))
        for at, service, what, refused in events
    ]


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


def _time(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)
