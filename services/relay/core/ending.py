"""How a request ended, for the books and for the client. Pure."""

from dataclasses import dataclass, field, replace

from contracts.attempts import AttemptEnded
from contracts.quantities import Quantity
from contracts.record import JSON, Refusal
from contracts.replies import Outcome, ReplyEnded
from contracts.routes import RequestRejected, RoutePlanned
from contracts.usage import EstimatedFrom, TokenUsage, UsageRecorded


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
    chunks: int = 0
    tokens: TokenUsage = field(default_factory=TokenUsage)
    quantities: list[Quantity] = field(default_factory=list)
    estimated_from: EstimatedFrom | None = None
    """None where the provider counted."""
    first_byte_ms: int | None = None
    upstream_ms: int = 0
    """See `ReplyEnded.upstream_ms`."""
    attempts: int = 1
    provider_id: str | None = None
    """Who was asked last; None: the first of the route."""
    upstream_model: str | None = None
    tried: list[str] = field(default_factory=list)
    """Who failed before, as ``provider=status``."""
    dropped: list[str] = field(default_factory=list)
    """What the provider was not sent."""


def failed(refusal: Refusal, *, attempts: int = 1) -> Ending:
    """Sluice or the provider is the reason, and nothing was delivered."""
    return Ending(Outcome.FAILED, refusal.status, refusal, attempts=attempts)


def undeliverable(ending: Ending, refusal: Refusal) -> Ending:
    """The client cannot be given the answer; the provider bills it all the same."""
    return replace(ending, outcome=Outcome.FAILED, status=refusal.status, refusal=refusal, body=None, tail=None)


def rejected(route: RequestRejected) -> Ending:
    """A rule is the reason, or (``failed``) a decision that never came."""
    outcome = Outcome.FAILED if route.failed else Outcome.REJECTED
    return Ending(outcome, route.refusal.status, route.refusal, attempts=0)


def attempt_ended(route: RoutePlanned | RequestRejected, ending: Ending, now_ms: int) -> AttemptEnded:
    """The record from which all others follow: the ledger's ``usage``, the client's ``reply``."""
    request = route.request
    planned = route if isinstance(route, RoutePlanned) else None
    provider_id = ending.provider_id or (planned.provider_id if planned else None)
    return AttemptEnded(
        request_id=request.request_id,
        usage=UsageRecorded(
            request_id=request.request_id,
            subject=request.subject,
            caller=request.caller,
            surface=request.surface,
            model=request.model,
            provider_id=provider_id,
            upstream_model=ending.upstream_model or (planned.upstream_model if planned else None),
            outcome=ending.outcome,
            status=ending.status,
            tokens=ending.tokens,
            quantities=ending.quantities,
            estimated=ending.estimated_from is not None,
            estimated_from=ending.estimated_from,
            byok=planned.grant.byok if planned else False,
            free=request.free,
            price=request.prices.get(provider_id or ""),
            reserved_microdollars=planned.reserved_microdollars if planned else None,
            attempts=ending.attempts,
            tried=ending.tried,
            accepted_at_ms=request.accepted_at_ms,
            ended_at_ms=now_ms,
            first_byte_ms=ending.first_byte_ms,
            task_id=request.task_id,
            client_version=request.client_version,
            mode=request.mode,
        ),
        reply=ReplyEnded(
            request_id=request.request_id,
            reply_to=request.reply_to,
            outcome=ending.outcome,
            status=ending.status,
            refusal=ending.refusal,
            body=ending.body,
            content_type=ending.content_type,
            tail=ending.tail,
            chunks=ending.chunks,
            windows=route.windows,
            provider_id=provider_id,
            tried=ending.tried,
            dropped=ending.dropped,
            upstream_ms=ending.upstream_ms,
        ),
    )
