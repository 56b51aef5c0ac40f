"""From an allowed request to a route. Pure, but that a request that tries a broken provider is noted as its trial."""

from collections.abc import Iterator, Mapping, Sequence
from math import ceil

from contracts.decisions import QuotaReserved, SealedGrant
from contracts.record import Refusal
from contracts.requests import AddressedRequest, CallableRequest, RequestAccepted, carried
from contracts.routes import RequestRejected, RoutePlanned, Target
from libs.breakers import Health, Standing
from libs.config.catalog import Catalog, Offer
from services.router.core.join import Allowed, Refused, Source
from services.router.core.order import ordered
from services.router.core.sticky import Sticky


def plan(
    verdict: Allowed[Source], catalog: Catalog, health: Health, now_ms: int, sticky: Sticky | None = None
) -> RoutePlanned | RequestRejected:
    """The route of a request that all three allow: to who is left by client and policy, and has a key in the vault.

    Args:
        catalog: that the request names.
    """
    request, quota = verdict.request, verdict.quota
    grants: dict[str, list[SealedGrant]] = {}
    for grant in verdict.credential.grants:
        grants.setdefault(grant.provider_id, []).append(grant)
    offers = [
        offer
        for offer in catalog.open_to(request)
        if offer.provider_id in verdict.policy.provider_ids and offer.provider_id in grants
    ]
    # With a key of one's own nothing was reserved for anybody else.
    others = [] if quota.byok else _stand_ins(verdict, catalog, grants, health, now_ms)
    if not offers and not others:
        return _rejected(request, _nobody(request, catalog), not request.chooses, quota, now_ms)
    byok = bool(offers) and grants[offers[0].provider_id][0].byok
    if quota.byok and offers and not byok:
        # Rate-limit and vault saw the owner's keys at different moments: nobody has reserved credit for ours.
        refusal = Refusal(status=503, message="Your own keys are being changed; try again.", retry_after_s=1)
        return _rejected(request, refusal, True, quota, now_ms)
    if offers and not byok:
        offers = ordered(offers, request, health, catalog.routing.sort, now_ms)
        if sticky is not None:
            offers = sticky.ordered(offers, request, health, now_ms)
            sticky.note(request, offers[0].provider_id, now_ms)
        trial = _trial(offers, request, health, now_ms)
        if trial:
            health.tried(trial.provider_id, now_ms)
            offers = [trial, *(offer for offer in offers if offer is not trial)]
        elif health.standing(offers[0].provider_id, now_ms) is Standing.DOWN:
            if not others:
                return _rejected(request, _down(request, offers, health, now_ms), True, quota, now_ms)
            offers = []
    chosen = [*(offers if request.allow_fallbacks and not byok else offers[:1]), *([] if byok else others)]
    return RoutePlanned(
        **carried(request, CallableRequest),
        targets=[
            Target(
                provider_id=offer.provider_id,
                upstream_model=offer.model.upstream_model,
                model=None if offer.model.id == request.model else offer.model.id,
                grant=grant,
            )
            for offer in _until_own_key(chosen, grants)
            for grant in grants[offer.provider_id]
        ],
        hook=verdict.credential.hook,
        windows=quota.windows,
        waited_ms=quota.waited_ms,
        reserved_microdollars=quota.held.microdollars if quota.held and not byok else None,
        planned_at_ms=now_ms,
    )


def _stand_ins(
    verdict: Allowed[Source],
    catalog: Catalog,
    grants: Mapping[str, Sequence[SealedGrant]],
    health: Health,
    now_ms: int,
) -> list[Offer]:
    """The models that may answer in place of the request's, each at its providers that are not out of order."""
    request, found = verdict.request, list[Offer]()
    for model in request.stand_ins:
        allowed = verdict.policy.stand_ins.get(model, ())
        offers = [
            offer
            for offer in catalog.open_to(request, model)
            if offer.provider_id in allowed
            and offer.provider_id in grants
            and (request.free or grants[offer.provider_id][0].byok or offer.price_at(request.accepted_at_ms))
            and health.standing(offer.provider_id, now_ms) is not Standing.DOWN
        ]
        found += ordered(offers, request, health, catalog.routing.sort, now_ms)
    return found


def _until_own_key(offers: Sequence[Offer], grants: Mapping[str, Sequence[SealedGrant]]) -> Iterator[Offer]:
    """What fails with a user's own key ends there: the gateway's is never tried after it."""
    for offer in offers:
        yield offer
        if grants[offer.provider_id][0].byok:
            return


def _trial(offers: list[Offer], request: RequestAccepted, health: Health, now_ms: int) -> Offer | None:
    """A provider out of order that this request is to try; it needs another to fall back on, unless all are so."""
    for offer in offers:
        if health.standing(offer.provider_id, now_ms) < Standing.FAILING:
            continue
        if (request.allow_fallbacks or offer is offers[0]) and not health.half_open_in_ms(offer.provider_id, now_ms):
            return offer
    return None


def _nobody(request: RequestAccepted, catalog: Catalog) -> Refusal:
    if not request.chooses:
        return Refusal(status=503, message=f"No provider of {request.model!r} is available now; try again.")
    there = ", ".join(offer.provider_id for offer in catalog.all_of(request.model))
    message = f"`provider` leaves none of the providers of {request.model!r} that may be used; the model is at {there}."
    return Refusal(status=404, message=message)


def _down(request: RequestAccepted, offers: list[Offer], health: Health, now_ms: int) -> Refusal:
    soonest_ms = min(health.half_open_in_ms(offer.provider_id, now_ms) for offer in offers)
    return Refusal(
        status=503,
        message=f"No provider of {request.model!r} answers at the moment; try again later or use another model.",
        retry_after_s=max(1, ceil(soonest_ms / 1000)),
    )


def reject(verdict: Refused[Source], now_ms: int) -> RequestRejected:
    """The end of a request that one refuses."""
    return _rejected(verdict.request, verdict.refusal, verdict.failed, verdict.quota, now_ms)


def _rejected(
    request: RequestAccepted, refusal: Refusal, failed: bool, quota: QuotaReserved | None, now_ms: int
) -> RequestRejected:
    return RequestRejected(
        **carried(request, AddressedRequest),
        refusal=refusal,
        failed=failed,
        windows=quota.windows if quota else [],
        waited_ms=quota.waited_ms if quota else 0,
        rejected_at_ms=now_ms,
    )
