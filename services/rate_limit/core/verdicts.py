"""The verdict on one paid request: it fits into all of its bounds, or lacks something. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from contracts.decisions import Held, QuotaReserved
from contracts.prices import Price
from contracts.record import Refusal
from contracts.requests import RequestAccepted
from libs.limits.catalog import Amounts, amounts_held, fields_of
from libs.pricing.cost import most_microdollars
from services.rate_limit.core.book import Book, Bound, Key
from services.rate_limit.core.bounds import Counts, Rules, Views, bounds_of
from services.rate_limit.core.refusals import refusal_of, windows_of

ORPHAN_AFTER_MS = 60_000
"""A request that has not ended so long after its deadline never will."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A paid request, and the most that it can use."""

    request: RequestAccepted
    held: Held
    byok: bool
    """The owner has a key of their own for this model's provider, so nothing is paid here."""

    @property
    def amounts(self) -> Amounts:
        """The most that it can use of everything."""
        return amounts_held(self.held)


def counts_of(held: Held) -> Counts:
    """By what a verdict's request is counted."""
    return Counts(held.owner, held.account_id, held.key, held.model, held.tags, held.customer)


def asked(request: RequestAccepted, prices: Sequence[Price], *, byok: bool) -> Asked | None:
    """What a request asks for; None where the gateway would pay for it, and it has no price."""
    if not byok and not prices:
        return None
    return _asked(request, 0 if byok else _most(request, prices), byok=byok)


def of_own_server(request: RequestAccepted) -> Asked:
    """What a request to servers that its owner registered asks for: it counts, and costs nothing here."""
    return _asked(request, 0, byok=True)


def _asked(request: RequestAccepted, microdollars: int, *, byok: bool) -> Asked:
    labels = request.labels
    held = Held(
        owner=request.caller.owner,
        account_id=request.caller.account_id,
        key=request.caller.key_fingerprint,
        model=request.model,
        tags=labels.tags if labels else [],
        customer=labels.customer if labels else None,
        microdollars=microdollars,
        at_ms=request.accepted_at_ms,
        expires_at_ms=request.deadline_ms + ORPHAN_AFTER_MS,
        **fields_of(request),
    )
    return Asked(request, held, byok)


def without_price(request: RequestAccepted) -> QuotaReserved:
    """The verdict where there is no price."""
    message = f"The model {request.model!r} has no price; the operator of this gateway has to set one."
    return reserved(request, refusal=Refusal(status=503, message=message))


@dataclass(frozen=True, slots=True)
class Lacking:
    """A request that lacks only what others hold."""

    needs: frozenset[Key]
    lacks: frozenset[Key]


@dataclass(frozen=True, slots=True)
class Judge:
    """What verdicts are made by: the operator's rules, and what users set."""

    rules: Callable[[], Rules]
    """Those that hold now."""
    views: Views

    def bounds(self, book: Book, counts: Counts) -> list[Bound]:
        """All bounds of what is counted so."""
        return bounds_of(counts, self.rules(), self.views, book.balance)

    def decide(self, book: Book, one: Asked, now_ms: int, *, waited_ms: int = 0, last: bool) -> QuotaReserved | Lacking:
        """Holds what is needed if the request is let in. Ask once a request, and again if it lacks something.

        Args:
            last: it is not to wait (any longer).
        """
        bounds, held, amounts = self.bounds(book, counts_of(one.held)), one.held, one.amounts
        book.expire(now_ms)
        shorts = book.shorts(bounds, amounts, held.at_ms)
        if shorts and not last and all(short.waits for short in shorts):
            return Lacking(needs_of(bounds, amounts), frozenset(short.bound.key for short in shorts))
        if shorts:
            # What waiting does not help with is what the client must know.
            short = min(shorts, key=lambda short: short.waits)
            refusal = refusal_of(
                short, self.rules().billing, organization=one.request.caller.organization_id is not None
            )
            standing = windows_of(book.standing(bounds, held.at_ms), held.at_ms)
            return reserved(one.request, refusal=refusal, windows=standing, waited_ms=waited_ms)
        book.hold(one.request.request_id, bounds, amounts, at_ms=held.at_ms, expires_at_ms=held.expires_at_ms)
        standing = windows_of(book.standing(bounds, held.at_ms), held.at_ms)
        return reserved(one.request, windows=standing, held=held, byok=one.byok, waited_ms=waited_ms)

    def needs(self, book: Book, one: Asked) -> frozenset[Key]:
        """The counters that a request takes from."""
        return needs_of(self.bounds(book, counts_of(one.held)), one.amounts)

    def take(self, book: Book, request_id: str, held: Held) -> None:
        """Holds what a verdict holds; the same again changes nothing."""
        bounds = self.bounds(book, counts_of(held))
        book.hold(request_id, bounds, amounts_held(held), at_ms=held.at_ms, expires_at_ms=held.expires_at_ms)


def needs_of(bounds: list[Bound], amounts: Amounts) -> frozenset[Key]:
    """The counters that so much is taken from."""
    return frozenset(bound.key for bound in bounds if amounts[bound.meter.quantity.name])


def reserved(request: RequestAccepted, **verdict: Any) -> QuotaReserved:
    """The verdict on a request."""
    return QuotaReserved(request_id=request.request_id, subject=request.subject, **verdict)


def _most(request: RequestAccepted, prices: Sequence[Price]) -> int:
    return max(
        most_microdollars(price, request.input_tokens_most, request.output_tokens_most, request.quantities_most)
        for price in prices
    )
