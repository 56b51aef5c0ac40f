"""What tokens and other units cost. Pure, whole numbers only, rounded once (half up)."""

from collections.abc import Iterable

from contracts.prices import Price, Rates, UnitRate
from contracts.quantities import Quantity
from contracts.usage import TokenUsage

MILLION = 1_000_000


def cost_microdollars(price: Price, tokens: TokenUsage, quantities: Iterable[Quantity] = ()) -> int:
    """The cost of one request.

    Kinds of tokens that a side's total includes are taken out of it before the rest is priced by that side's rate; a
    provider that counts more of them than the total gets no more than the total.
    """
    rates = rates_for(price, tokens.input_tokens)
    total = _side(
        tokens.input_tokens,
        rates.input,
        (tokens.cache_read_tokens, rates.cache_read),
        (tokens.cache_write_tokens, rates.cache_write),
        (tokens.input_image_tokens, rates.input_image),
        (tokens.input_audio_tokens, rates.input_audio),
    ) + _side(
        tokens.output_tokens,
        rates.output,
        (tokens.reasoning_tokens, rates.reasoning),
        (tokens.output_image_tokens, rates.output_image),
        (tokens.output_audio_tokens, rates.output_audio),
    )
    total += sum(one.amount * _rate(price.units, one) for one in quantities)
    return (total + MILLION // 2) // MILLION


def most_microdollars(price: Price, input_tokens: int, output_tokens: int, quantities: Iterable[Quantity] = ()) -> int:
    """The most that a request of at most so much can cost, whatever kinds it turns out to be; rounded up.

    A quantity whose kind is known is of that kind.
    """
    most = 0
    for rates in price.tiers:
        if rates.above_input_tokens and input_tokens <= rates.above_input_tokens:
            break
        dearest_in = max(_given(rates.input, rates.cache_read, rates.cache_write, rates.input_image, rates.input_audio))
        dearest_out = max(_given(rates.output, rates.reasoning, rates.output_image, rates.output_audio))
        most = max(most, input_tokens * dearest_in + output_tokens * dearest_out)
    most += sum(one.amount * _dearest(price.units, one) for one in quantities)
    return -(-most // MILLION)


def rates_for(price: Price, input_tokens: int) -> Rates:
    """The tier that a request of so many input tokens falls into."""
    found = price.tiers[0]
    for rates in price.tiers[1:]:
        if input_tokens > rates.above_input_tokens:
            found = rates
    return found


def _rate(rates: Iterable[UnitRate], quantity: Quantity) -> int:
    """Of the most particular kind that fits; of several, the dearest. Nothing where the unit has no price."""
    found = [(len(_parts(rate.kind)), rate.rate) for rate in _fitting(rates, quantity)]
    return max(found, default=(0, 0))[1]


def _dearest(rates: Iterable[UnitRate], quantity: Quantity) -> int:
    """The same where the kind is known, else the most that any kind of the unit costs."""
    if quantity.kind:
        return _rate(rates, quantity)
    return max((rate.rate for rate in rates if rate.unit is quantity.unit), default=0)


def _fitting(rates: Iterable[UnitRate], quantity: Quantity) -> Iterable[UnitRate]:
    has = _parts(quantity.kind)
    return (rate for rate in rates if rate.unit is quantity.unit and _parts(rate.kind) <= has)


def _parts(kind: str) -> frozenset[str]:
    return frozenset(part for part in kind.split("/") if part)


def _side(tokens: int, rate: int, *kinds: tuple[int, int | None]) -> int:
    total, left = 0, tokens
    for count, own_rate in kinds:
        taken = min(count, left) if own_rate is not None else 0
        total += taken * (own_rate or 0)
        left -= taken
    return total + left * rate


def _given(*rates: int | None) -> list[int]:
    return [rate for rate in rates if rate is not None]
