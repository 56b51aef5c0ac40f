"""From an allowed request to a route. Pure."""

from collections.abc import Sequence

from contracts.decisions import QuotaWindow
from contracts.record import Refusal
from contracts.requests import RequestAccepted
from contracts.routes import Fallback, RequestRejected, RoutePlanned
from libs.config.catalog import Catalog, Offer
from services.router.join import Allowed, Place, Refused


def plan(verdict: Allowed[Place], catalog: Catalog, now_ms: int) -> RoutePlanned | RequestRejected:
    """The route of a request that all three allow: a provider that policy left and the vault has a key for."""
    request, quota = verdict.request, verdict.quota
    grants = {grant.provider_id: grant for grant in verdict.credential.grants}
    offers = [
        offer
        for offer in _ordered(catalog.all_of(request.model), request.provider_order)
        if offer.provider_id in verdict.policy.provider_ids and offer.provider_id in grants
    ]
    if not offers:
        refusal = Refusal(status=503, message=f"No provider of {request.model!r} is available now; try again.")
        return _rejected(request, refusal, True, quota.windows, now_ms)
    first, rest = offers[0], offers[1:] if request.allow_fallbacks else []
    grant = grants[first.provider_id]
    if quota.byok and not grant.byok:
        # Rate-limit and vault saw the owner's keys at different moments: nobody has reserved credit for ours.
        refusal = Refusal(status=503, message="Your own keys are being changed; try again.", retry_after_s=1)
        return _rejected(request, refusal, True, quota.windows, now_ms)
    return RoutePlanned(
        request=request,
        provider_id=first.provider_id,
        upstream_model=first.model.upstream_model,
        grant=grant,
        fallbacks=[
            Fallback(
                provider_id=offer.provider_id,
                upstream_model=offer.model.upstream_model,
                grant=grants[offer.provider_id],
            )
            for offer in rest
            if not grant.byok
        ],
        windows=quota.windows,
        reserved_microdollars=quota.held.microdollars if quota.held and not grant.byok else None,
        planned_at_ms=now_ms,
    )


def _ordered(offers: Sequence[Offer], wanted: Sequence[str]) -> list[Offer]:
    """Those that the client wants first, in its order; the others as the configuration has them."""
    rank = {provider_id: place for place, provider_id in reversed(list(enumerate(wanted)))}
    return sorted(offers, key=lambda offer: rank.get(offer.provider_id, len(wanted)))


def reject(verdict: Refused[Place], now_ms: int) -> RequestRejected:
    """The end of a request that one refuses."""
    windows = verdict.quota.windows if verdict.quota else []
    return _rejected(verdict.request, verdict.refusal, verdict.failed, windows, now_ms)


def _rejected(
    request: RequestAccepted, refusal: Refusal, failed: bool, windows: list[QuotaWindow], now_ms: int
) -> RequestRejected:
    return RequestRejected(request=request, refusal=refusal, failed=failed, windows=windows, rejected_at_ms=now_ms)
