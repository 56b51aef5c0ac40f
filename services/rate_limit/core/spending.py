"""The verdict on one paid request: rate limits, then the member's day, then the owner's credit. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from contracts.control import PolicySet
from contracts.decisions import Held, QuotaReserved, QuotaWindow
from contracts.record import Refusal
from contracts.requests import RequestAccepted
from libs.config.gateway import Billing, Limits, RateLimits
from libs.policy.rules import daily_limit
from libs.pricing.cost import most_microdollars
from libs.pricing.usd import usd
from services.rate_limit.core.budget import Budget, Shortfall
from services.rate_limit.core.throttle import MINUTE_MS, Count, Throttle

ORPHAN_AFTER_MS = 60_000
"""A request that has not ended so long after its deadline never will."""


@dataclass(slots=True)
class Owner:
    """What is known of one account or organization."""

    budget: Budget = field(default_factory=Budget)
    throttle: Throttle = field(default_factory=Throttle)

    @property
    def idle(self) -> bool:
        """Nothing is held and nothing counts; a balance may be known."""
        return self.budget.idle and self.throttle.idle


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator configured."""

    limits: Limits
    billing: Billing


def decide(
    owner: Owner, request: RequestAccepted, rules: Rules, policy: PolicySet | None, *, byok: bool, now_ms: int
) -> QuotaReserved:
    """Decides, and holds what is needed if the request is let in. Ask once a request.

    Args:
        policy: of the organization that the request is for, if it has one.
        byok: the owner has a key of their own for this model's provider, so nothing is paid here.
    """
    caller = request.caller
    limits = limits_of(request, rules.limits)
    tokens = request.input_tokens_most + request.output_tokens_most
    at_ms = request.accepted_at_ms
    throttled = owner.throttle.refuses(limits, tokens, at_ms)
    if throttled:
        refusal = _too_many(throttled, tokens)
        standing = owner.throttle.standing(limits, at_ms)
        return QuotaReserved(
            request_id=request.request_id, subject=request.subject, refusal=refusal, windows=_windows(standing)
        )
    microdollars = 0
    if not byok:
        if not request.prices:
            message = f"The model {request.model!r} has no price; the operator of this gateway has to set one."
            return QuotaReserved(
                request_id=request.request_id, subject=request.subject, refusal=Refusal(status=503, message=message)
            )
        microdollars = max(
            most_microdollars(price, request.input_tokens_most, request.output_tokens_most, request.quantities_most)
            for price in request.prices.values()
        )
        for request_id in owner.budget.expire(now_ms):
            owner.throttle.ended(request_id, None)
        short = owner.budget.shortfall(
            microdollars,
            account_id=caller.account_id,
            at_ms=at_ms,
            prepaid=rules.billing.prepaid,
            daily_limit=daily_limit(policy, caller.account_id),
        )
        if short:
            refusal = _too_dear(short, caller.organization_id is not None, rules.billing)
            return reserved(request, refusal=refusal)
    held = Held(
        owner=caller.owner,
        account_id=caller.account_id,
        model=request.model,
        microdollars=microdollars,
        tokens=tokens,
        at_ms=at_ms,
        expires_at_ms=request.deadline_ms + ORPHAN_AFTER_MS,
    )
    take(owner, request.request_id, held, limits)
    windows = _windows(owner.throttle.standing(limits, at_ms))
    return reserved(request, windows=windows, held=held, byok=byok)


def reserved(request: RequestAccepted, **verdict: Any) -> QuotaReserved:
    """The verdict on a request."""
    return QuotaReserved(request_id=request.request_id, subject=request.subject, **verdict)


def take(owner: Owner, request_id: str, held: Held, limits: Sequence[tuple[str, RateLimits]]) -> None:
    """Holds what a verdict holds; the same again changes nothing."""
    owner.budget.hold(
        request_id,
        held.microdollars,
        account_id=held.account_id,
        at_ms=held.at_ms,
        expires_at_ms=held.expires_at_ms,
    )
    owner.throttle.count(request_id, limits, held.tokens, held.at_ms)


def limits_of(request: RequestAccepted, limits: Limits) -> list[tuple[str, RateLimits]]:
    """The scopes that a request counts in, by name, each with its limits."""
    return scopes(request.caller.owner, request.caller.account_id, request.model, limits)


def scopes(owner: str, account_id: str | None, model: str, limits: Limits) -> list[tuple[str, RateLimits]]:
    """The same of what is written on a verdict."""
    found = [("model " + model, limits.model)]
    if owner.startswith("org:"):
        found += [(f"member {account_id}", limits.member), ("organization", limits.organization)]
    else:
        found.append(("account", limits.account))
    return found


def _too_dear(short: Shortfall, organization: bool, billing: Billing) -> Refusal:
    left = max(0, short.left)
    metadata: dict[str, str | int | float | bool | None] = {
        "leftMicrodollars": left,
        "neededMicrodollars": short.needed,
        "heldMicrodollars": short.held,
    }
    if billing.buy_credits_url:
        metadata["buyCreditsUrl"] = billing.buy_credits_url
    flight = f" {usd(short.held)} USD are held by requests in flight." if short.held else ""
    needs = f"This request can cost up to {usd(short.needed)} USD"
    if short.daily:
        message = (
            f"{needs}, and your daily limit has {usd(left)} USD left until midnight UTC.{flight} "
            "A lower `max_tokens` needs less; your organization's owner can change the limit."
        )
    else:
        whose = "your organization's credit" if organization else "your credit"
        message = f"{needs}, and {whose} has {usd(left)} USD left.{flight} Add credit, or ask for a lower `max_tokens`."
    return Refusal(status=402, message=message, metadata=metadata)


def _too_many(count: Count, tokens: int) -> Refusal:
    wait_s = max(1, -(-count.reset_ms // 1000))
    if count.what == "concurrent":
        message = f"{count.limit} requests at a time are allowed ({count.scope}); wait until one has ended."
    elif count.what == "tokens" and tokens > count.limit:
        message = (
            f"This request can use {tokens} tokens, and {count.limit} a minute are allowed ({count.scope}); "
            "shorten it, or ask for a lower `max_tokens`."
        )
    else:
        message = f"{count.limit} {count.what} a minute are allowed ({count.scope}); try again in {wait_s} s."
    return Refusal(status=429, message=message, retry_after_s=wait_s)


def _windows(standing: list[Count]) -> list[QuotaWindow]:
    return [
        QuotaWindow(
            name=f"{count.scope.partition(' ')[0]}-{count.what}",
            limit=count.limit,
            window_s=MINUTE_MS // 1000,
            remaining=max(0, count.left),
            reset_s=max(0, -(-count.reset_ms // 1000)),
        )
        for count in standing
        if count.what != "concurrent"
    ]
