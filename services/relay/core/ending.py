"""How a request ended, for the books and for the client. Pure."""

from dataclasses import dataclass, field, replace

from contracts.attempts import AttemptEnded
from contracts.quantities import Quantity
from contracts.record import JSON, Refusal
from contracts.replies import Outcome, ReplyEnded, reader_of
from contracts.requests import RequestFacts, carried
from contracts.responses import ResponseStored
from contracts.routes import RequestRejected, RoutePlanned, Target
from contracts.usage import EstimatedFrom, ServiceTier, TokenUsage, UsageRecorded

FAULT = Refusal(status=500, message="The gateway failed; it was logged. Try again.")


@dataclass(slots=True)
class Ending:
    """What became of one route."""

    outcome: Outcome
    status: int = 200
    refusal: Refusal | None = None
    body: str | None = None
    content_type: str = JSON
    """Of the body."""
    tail: str | None = None
    size: int = 0
    """See `ReplyEnded.size`."""
    tokens: TokenUsage = field(default_factory=TokenUsage)
    quantities: list[Quantity] = field(default_factory=list)
    estimated_from: EstimatedFrom | None = None
    """None where the provider counted."""
    called_at_ms: int | None = None
    """See `contracts.usage`."""
    first_byte_ms: int | None = None
    upstream_ms: int = 0
    """See `ReplyEnded.upstream_ms`."""
    attempts: int = 1
    target: Target | None = None
    """Who was asked last; None: the first of the route."""
    tried: list[str] = field(default_factory=list)
    """Who failed before, as ``provider=status``."""
    call: int = 0
    """See `contracts.replies.Call`."""
    cached_s: int | None = None
    cached_percent: int | None = None
    """Of an answer from the cache; see `contracts.usage`."""
    service_tier: ServiceTier | None = None
    """See `contracts.usage`."""
    dropped: list[str] = field(default_factory=list)
    """What the provider was not sent."""
    stored: ResponseStored | None = None
    """See `AttemptEnded.stored`."""


def failed(refusal: Refusal, *, attempts: int = 1) -> Ending:
    """Sluice or the provider is the reason, and nothing was delivered."""
    return Ending(Outcome.FAILED, refusal.status, refusal, attempts=attempts)


def left() -> Ending:
    """Its client went before a provider was asked."""
    return Ending(Outcome.CANCELLED, status=499, attempts=0)


def undeliverable(ending: Ending, refusal: Refusal) -> Ending:
    """The client cannot be given the answer; the provider bills it all the same."""
    return replace(
        ending, outcome=Outcome.FAILED, status=refusal.status, refusal=refusal, body=None, tail=None, stored=None
    )


def rejected(route: RequestRejected) -> Ending:
    """A rule is the reason, or (``failed``) a decision that never came."""
    outcome = Outcome.FAILED if route.failed else Outcome.REJECTED
    return Ending(outcome, route.refusal.status, route.refusal, attempts=0)


def is_unbilled(ending: Ending) -> bool:
    """It has cost nobody anything, and its client has nothing of an answer."""
    return (
        ending.outcome is not Outcome.COMPLETED
        and not ending.size
        and not ending.quantities
        and ending.tokens == TokenUsage()
    )


def counted_input(ending: Ending) -> int | None:
    """The input tokens that the provider of a whole answer counted."""
    asked = ending.attempts > 0 and ending.cached_s is None
    if ending.outcome is not Outcome.COMPLETED or not asked or ending.estimated_from:
        return None
    return ending.tokens.input_tokens or None


def target_of(route: RoutePlanned | RequestRejected, ending: Ending) -> Target | None:
    """Who answered, or would have been asked first."""
    return ending.target or (route.targets[0] if isinstance(route, RoutePlanned) else None)


def usage_of(route: RoutePlanned | RequestRejected, ending: Ending, now_ms: int) -> UsageRecorded:
    """What the ledger books."""
    planned = route if isinstance(route, RoutePlanned) else None
    target = target_of(route, ending)
    return UsageRecorded(
        **carried(route, RequestFacts) | ({"model": target.model} if target and target.model else {}),
        provider_id=target.provider_id if target else None,
        upstream_model=target.upstream_model if target else None,
        outcome=ending.outcome,
        status=ending.status,
        tokens=ending.tokens,
        quantities=ending.quantities,
        estimated=ending.estimated_from is not None,
        estimated_from=ending.estimated_from,
        byok=target.grant.byok if target else False,
        reserved_microdollars=planned.reserved_microdollars if planned else None,
        attempts=ending.attempts,
        tried=ending.tried,
        routed_at_ms=route.rejected_at_ms if isinstance(route, RequestRejected) else route.planned_at_ms,
        called_at_ms=ending.called_at_ms,
        ended_at_ms=now_ms,
        first_byte_ms=ending.first_byte_ms,
        streamed=planned.stream if planned else False,
        cached_percent=ending.cached_percent,
        service_tier=ending.service_tier,
    )


def attempt_ended(route: RoutePlanned | RequestRejected, ending: Ending, now_ms: int) -> AttemptEnded:
    """The record from which all others follow: the ledger's ``usage``, the client's ``reply``."""
    target = target_of(route, ending)
    return AttemptEnded(
        request_id=route.request_id,
        usage=usage_of(route, ending, now_ms),
        reply=ReplyEnded(
            request_id=route.request_id,
            reply_to=route.reply_to,
            reader=reader_of(route.caller.account_id, route.caller.ip),
            outcome=ending.outcome,
            status=ending.status,
            refusal=ending.refusal,
            body=ending.body,
            content_type=ending.content_type,
            tail=ending.tail,
            unbilled=is_unbilled(ending),
            size=ending.size,
            call=ending.call,
            windows=route.windows,
            waited_ms=route.waited_ms,
            provider_id=target.provider_id if target else None,
            tried=ending.tried,
            dropped=ending.dropped,
            model=target.model if target else None,
            cached_s=ending.cached_s,
            upstream_ms=ending.upstream_ms,
            input_tokens=counted_input(ending),
        ),
        stored=ending.stored,
    )
