"""From an allowed request to a route. Pure."""

from contracts.decisions import QuotaWindow
from contracts.record import Refusal
from contracts.requests import RequestAccepted
from contracts.routes import RequestRejected, RoutePlanned
from libs.config.catalog import Catalog
from services.router.join import Allowed, Place, Refused


def plan(verdict: Allowed[Place], catalog: Catalog, now_ms: int) -> RoutePlanned | RequestRejected:
    """The route of a request that all three allow: a provider that policy left and the vault has a key for."""
    offer = catalog.find(verdict.request.model)
    grants = {grant.provider_id: grant for grant in verdict.credential.grants}
    if offer is None or offer.provider_id not in verdict.policy.provider_ids or offer.provider_id not in grants:
        refusal = Refusal(status=503, message=f"No provider of {verdict.request.model!r} is available now; try again.")
        return _rejected(verdict.request, refusal, True, verdict.quota.windows, now_ms)
    grant = grants[offer.provider_id]
    if verdict.quota.byok and not grant.byok:
        # Rate-limit and vault saw the owner's keys at different moments: nobody has reserved credit for ours.
        refusal = Refusal(status=503, message="Your own keys are being changed; try again.", retry_after_s=1)
        return _rejected(verdict.request, refusal, True, verdict.quota.windows, now_ms)
    held = verdict.quota.held
    return RoutePlanned(
        request=verdict.request,
        provider_id=offer.provider_id,
        upstream_model=offer.model.upstream_model,
        grant=grant,
        windows=verdict.quota.windows,
        reserved_microdollars=held.microdollars if held and not grant.byok else None,
        planned_at_ms=now_ms,
    )


def reject(verdict: Refused[Place], now_ms: int) -> RequestRejected:
    """The end of a request that one refuses."""
    windows = verdict.quota.windows if verdict.quota else []
    return _rejected(verdict.request, verdict.refusal, verdict.failed, windows, now_ms)


def _rejected(
    request: RequestAccepted, refusal: Refusal, failed: bool, windows: list[QuotaWindow], now_ms: int
) -> RequestRejected:
    return RequestRejected(request=request, refusal=refusal, failed=failed, windows=windows, rejected_at_ms=now_ms)
