"""In which order the providers of a model are asked. Pure.

Who is out of order comes last, whatever anybody prefers; then the client's own order counts, then who is at a limit,
then the sorting. Equals stay as the configuration has them.
"""

from collections.abc import Callable, Sequence

from contracts.prices import Price
from contracts.requests import ProviderSort, RequestAccepted
from libs.breakers import Health, Standing
from libs.config.catalog import Offer

INPUT_SHARE = 3
"""Tokens of input for each of output in a blended price, as the field compares prices."""
STEP_MS = 100
"""Less of a difference in latency is noise, and a change of provider costs the prompt's cache."""
STEP_TOKENS_PER_S = 10


def ordered(
    offers: Sequence[Offer], request: RequestAccepted, health: Health, sort: ProviderSort, now_ms: int
) -> list[Offer]:
    """The offers as they are to be asked.

    Args:
        sort: for requests that do not choose.
    """
    wanted = {provider_id: rank for rank, provider_id in reversed(list(enumerate(request.provider_order)))}
    last, value = len(request.provider_order), _VALUES[request.provider_sort or sort]

    def key(offer: Offer) -> tuple[float, ...]:
        standing = health.standing(offer.provider_id, now_ms)
        broken = standing if standing >= Standing.FAILING else Standing.WELL
        return broken, wanted.get(offer.provider_id, last), standing, *value(offer, request, health, now_ms)

    return sorted(offers, key=key)


def blended(price: Price | None) -> float:
    """What a token, or one of each other unit, costs at this price, in microdollars a million; 0 where nobody pays."""
    if price is None:
        return 0
    rates = price.tiers[0]
    units = sum(unit.rate for unit in price.units if not unit.kind)
    return (INPUT_SHARE * rates.input + rates.output) / (INPUT_SHARE + 1) + units


def _cost(offer: Offer, request: RequestAccepted) -> float:
    return blended(offer.price_at(request.accepted_at_ms))


def _latency(offer: Offer, health: Health, now_ms: int) -> int:
    """In steps; 0 where it is unknown, so that who has not been asked is."""
    pace = health.pace(offer.provider_id, offer.model.upstream_model, now_ms)
    return pace.first_byte_ms // STEP_MS if pace else 0


def _speed(offer: Offer, health: Health, now_ms: int) -> float:
    pace = health.pace(offer.provider_id, offer.model.upstream_model, now_ms)
    return pace.tokens_per_s // STEP_TOKENS_PER_S if pace and pace.tokens_per_s is not None else float("inf")


_Value = Callable[[Offer, RequestAccepted, Health, int], tuple[float, ...]]
_VALUES: dict[ProviderSort, _Value] = {
    ProviderSort.PRICE: lambda offer, request, health, now: (_cost(offer, request), _latency(offer, health, now)),
    ProviderSort.LATENCY: lambda offer, request, health, now: (_latency(offer, health, now), _cost(offer, request)),
    ProviderSort.THROUGHPUT: lambda offer, request, health, now: (-_speed(offer, health, now), _cost(offer, request)),
    ProviderSort.CONFIGURED: lambda _offer, _request, _health, _now: (),
}
