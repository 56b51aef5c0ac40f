"""Microdollars: exact, rounded once, and zero where nobody pays."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal

import pytest
from genai_prices import Usage, calc_price
from genai_prices.data import providers as genai_providers
from hypothesis import given
from hypothesis import strategies as st

from contracts.prices import Price, PriceRule, Rates, UnitRate, price_at
from contracts.quantities import Quantity, Unit
from contracts.replies import Outcome
from contracts.usage import TokenUsage
from libs.config.catalog import Catalog
from libs.config.gateway import load_config
from libs.config.providers import Model, Pricing, Provider
from libs.pricing.book import NoPriceError, check_prices, price_list, rules_of
from libs.pricing.charging import UNPRICED
from libs.pricing.cost import cost_microdollars, most_microdollars
from libs.pricing.usd import parse_usd, usd
from services.metering.core.pricing import charge
from services.relay.core.ending import Ending, attempt_ended
from tests.unit.records import NOW_MS, PRICE, Config, echo_versions, route

AT = datetime(2026, 11, 24, tzinfo=UTC)
DEFAULT = Catalog(load_config(None))
PAID = [offer for offer in DEFAULT.offers.values() if not offer.model.free]

counts = st.integers(0, 10_000_000)
rate = st.integers(0, 100_000_000)
maybe = st.none() | rate


def _catalog(pricing: Pricing | None, model_id: str = "stub/echo") -> Catalog:
    return Catalog(
        Config(
            providers={"stub": Provider(base_url="http://x")},
            models=[Model(id=model_id, provider="stub", upstream_model="echo-1", pricing=pricing)],
        )
    )


@st.composite
def prices(draw: st.DrawFn) -> Price:
    starts = sorted(draw(st.sets(st.integers(1, 1_000_000), max_size=2)))
    optional = [name for name, field in Rates.model_fields.items() if not field.is_required()][1:]
    tiers = [
        Rates(above_input_tokens=start, input=draw(rate), output=draw(rate), **{name: draw(maybe) for name in optional})
        for start in (0, *starts)
    ]
    return Price(version="v", tiers=tiers)


@st.composite
def tokens(draw: st.DrawFn) -> TokenUsage:
    fresh, said, *kinds = (draw(st.integers(0, 1_000_000)) for _ in range(9))
    read, written, image, audio, thought, drawn, spoken = kinds
    return TokenUsage(
        input_tokens=fresh + read + written + image + audio,
        output_tokens=said + thought + drawn + spoken,
        cache_read_tokens=read,
        cache_write_tokens=written,
        input_image_tokens=image,
        input_audio_tokens=audio,
        reasoning_tokens=thought,
        output_image_tokens=drawn,
        output_audio_tokens=spoken,
    )


@given(prices(), tokens())
def test_each_token_is_priced_once_by_the_rate_of_its_kind(price: Price, used: TokenUsage) -> None:
    rates = max(
        (tier for tier in price.tiers if used.input_tokens > tier.above_input_tokens or tier is price.tiers[0]),
        key=lambda tier: tier.above_input_tokens,
    )
    model, left_in, left_out = Decimal(0), used.input_tokens, used.output_tokens
    for name in ("cache_read", "cache_write", "input_image", "input_audio"):
        count, own = getattr(used, f"{name}_tokens"), getattr(rates, name)
        model += count * (rates.input if own is None else own)
        left_in -= count
    for name in ("reasoning", "output_image", "output_audio"):
        count, own = getattr(used, f"{name}_tokens"), getattr(rates, name)
        model += count * (rates.output if own is None else own)
        left_out -= count
    model += left_in * rates.input + left_out * rates.output
    assert cost_microdollars(price, used) == int((model / 1_000_000).to_integral_value(ROUND_HALF_UP))


@given(prices(), tokens(), st.integers(0, 1_000), st.integers(0, 1_000))
def test_nothing_costs_more_than_the_most(price: Price, used: TokenUsage, more_in: int, more_out: int) -> None:
    most = most_microdollars(price, used.input_tokens + more_in, used.output_tokens + more_out)
    assert cost_microdollars(price, used) <= most


kinds = st.sampled_from(["", "hd", "hd/big", "low", "low/big", "big"])


@given(
    st.lists(st.tuples(st.sampled_from(Unit), kinds, st.integers(0, 10**9)), max_size=8),
    st.lists(st.tuples(st.sampled_from(Unit), kinds, st.integers(0, 10_000)), max_size=4),
)
def test_each_unit_is_priced_by_the_most_particular_kind_that_fits_and_held_by_the_dearest(
    rates: list[tuple[Unit, str, int]], used: list[tuple[Unit, str, int]]
) -> None:
    price = Price(
        version="v",
        tiers=[Rates(input=0, output=0)],
        units=[UnitRate(unit=unit, kind=kind, rate=rate) for unit, kind, rate in rates],
    )
    model = 0
    for unit, kind, amount in used:
        has = set(kind.split("/")) | {""}
        fits = [(len(theirs.split("/")) if theirs else 0, rate) for of, theirs, rate in rates if of is unit]
        fits = [
            one
            for one, (of, theirs, _) in zip(fits, [r for r in rates if r[0] is unit], strict=True)
            if set(theirs.split("/")) <= has
        ]
        model += amount * max(fits, default=(0, 0))[1]
    quantities = [Quantity(unit=unit, kind=kind, amount=amount) for unit, kind, amount in used]
    assert cost_microdollars(price, TokenUsage(), quantities) == (model + 500_000) // 1_000_000
    unknown = [one.model_copy(update={"kind": ""}) for one in quantities]
    for known in (quantities, unknown):
        assert cost_microdollars(price, TokenUsage(), quantities) <= most_microdollars(price, 0, 0, known)


@given(st.sampled_from(PAID), counts, counts, counts, counts, counts)
def test_the_book_agrees_with_genai_prices(
    offer: object, fresh: int, read: int, written: int, out: int, at: int
) -> None:
    assert isinstance(offer, type(PAID[0]))
    when = datetime.fromtimestamp(1_780_000_000 + at, UTC)
    if offer.model.pricing:
        return
    used = TokenUsage(
        input_tokens=fresh + read + written, output_tokens=out, cache_read_tokens=read, cache_write_tokens=written
    )
    theirs = calc_price(
        Usage(
            input_tokens=used.input_tokens,
            output_tokens=out,
            cache_read_tokens=read or None,
            cache_write_tokens=written or None,
        ),
        offer.model.upstream_model,
        provider_id=offer.provider.prices or "",
        genai_request_timestamp=when,
    ).total_price
    price = price_at(rules_of(offer), int(when.timestamp() * 1000))
    assert price is not None
    ours = cost_microdollars(price, used)
    assert ours == int((theirs * 1_000_000).to_integral_value(ROUND_HALF_UP))


@given(tokens(), st.integers(1, 10))
def test_more_cached_tokens_than_input_are_no_more_than_the_input(used: TokenUsage, times: int) -> None:
    lying = used.model_copy(update={"cache_read_tokens": used.input_tokens * times})
    price = Price(version="v", tiers=[Rates(input=10, output=0, cache_read=1)])
    assert cost_microdollars(price, lying) == cost_microdollars(
        price, used.model_copy(update={"cache_read_tokens": used.input_tokens})
    )


def _charge(used: TokenUsage, **changes: object) -> tuple[int, str]:
    ended = attempt_ended(route(), Ending(Outcome.COMPLETED, tokens=used), NOW_MS)
    usage = ended.usage.model_copy(update=changes)
    charged = charge(usage, echo_versions().cost(usage), NOW_MS)
    return charged.cost_microdollars, charged.price_version


def test_who_does_not_pay() -> None:
    used = TokenUsage(input_tokens=1_000, output_tokens=1_000)
    assert _charge(used) == (10_000, PRICE.version)
    assert _charge(used, byok=True) == (0, "byok")
    assert _charge(used, model="stub/echo:free") == (0, "free")
    assert _charge(TokenUsage()) == (0, "nothing used")
    assert _charge(used, model="stub/unknown") == (0, UNPRICED)
    assert _charge(used, provider_id="nobody") == (0, UNPRICED)
    assert _charge(used, catalog_version=2) == (0, UNPRICED)


def test_a_version_names_the_content_of_a_price() -> None:
    def version(prompt: str) -> str:
        prices = price_list(_catalog(Pricing(prompt=Decimal(prompt), completion=Decimal(0))))
        return prices["stub/echo"]["stub"][0].price.version

    assert version("0.000002") == version("0.0000020")
    assert version("0.000002") != version("0.000003")


def test_a_model_without_a_price_says_what_to_do() -> None:
    assert price_list(_catalog(None)) == {}
    with pytest.raises(NoPriceError, match="add `pricing`"):
        check_prices(_catalog(None))


@given(st.integers(0, 24 * 3600 - 1), st.integers(0, 24 * 3600 - 1), st.integers(0, 10**9))
def test_a_price_of_the_night_holds_from_its_first_second_to_its_last(begins: int, ends: int, at_s: int) -> None:
    rule = PriceRule(price=PRICE, daily_from_s=begins, daily_until_s=ends)
    second, length = at_s % 86_400, (ends - begins) % 86_400
    assert rule.holds(at_s * 1_000) == ((second - begins) % 86_400 < length)


def test_the_last_price_that_holds_counts() -> None:
    later = PriceRule(price=PRICE.model_copy(update={"version": "later"}), from_ms=NOW_MS)
    rules = [PriceRule(price=PRICE), later]
    found = [price_at(rules, at_ms) for at_ms in (NOW_MS - 1, NOW_MS)]
    assert [price.version for price in found if price] == [PRICE.version, "later"]
    assert price_at([], NOW_MS) is None


def test_what_genai_prices_said_stays_until_it_is_asked_again() -> None:
    """A change of something else in the catalog changes no price."""
    offer = next(offer for offer in PAID if offer.model.pricing is None and offer.model.flex_percent is None)
    model, provider, other = offer.model.id, offer.provider_id, PriceRule(price=PRICE)
    kept = price_list(DEFAULT, Catalog(load_config(None), {model: {provider: [other]}}))
    assert kept[model][provider] == [other]
    assert price_list(DEFAULT)[model][provider] == rules_of(offer)


def test_a_price_too_fine_for_the_ledger_is_refused() -> None:
    with pytest.raises(ValueError, match="12 decimal places"):
        Pricing(prompt=Decimal("0.0000000000001"), completion=Decimal(0))


def test_every_model_of_the_default_file_has_a_price() -> None:
    check_prices(DEFAULT)
    for offer in PAID:
        used = TokenUsage(input_tokens=1_000_000, output_tokens=1_000_000)
        units = [Quantity(unit=unit, amount=1_000) for unit in Unit]
        # OpenAI moderates for nothing, and Google AI Studio has no price for Gemma.
        is_free = offer.model.id in ("openai/omni-moderation-latest", "google/gemma-4-31b-it")
        assert (cost_microdollars(rules_of(offer)[-1].price, used, units) == 0) == is_free, offer.model.id


def test_no_price_of_the_default_file_is_one_that_genai_prices_has() -> None:
    """So `./sluice prices update` keeps all that can be kept. Seconds and characters are compared alone."""
    listed = {"openai/whisper-1": ("second", "audio_hours", 3_600)}
    listed |= dict.fromkeys(("openai/tts-1", "openai/tts-1-hd"), ("character", "input_mchars", 1_000_000))
    for offer in (one for one in PAID if one.model.pricing):
        if offer.model.id in listed:
            unit, name, many = listed[offer.model.id]
            known = calc_price(Usage(), offer.model.upstream_model, provider_id="openai").model.prices
            assert offer.model.pricing
            assert offer.model.pricing.units == {unit: getattr(known, name) / many}
            continue
        with pytest.raises(NoPriceError):
            rules_of(replace(offer, model=offer.model.model_copy(update={"pricing": None})))


def test_context_windows_of_the_default_file_are_those_that_genai_prices_knows() -> None:
    """It rounds some: 1,000,000 for 1,048,576. The others were compared with models.dev (docs/providers.md)."""
    known = {provider.id: provider.models for provider in genai_providers}
    compared = 0
    for offer in (one for offers in DEFAULT.offers for one in DEFAULT.all_of(offers)):
        models = known.get(offer.provider.prices or "", [])
        found = next((one for one in models if one.is_match(offer.model.upstream_model)), None)
        if found and found.context_window and offer.model.context_length:
            compared += 1
            assert abs(offer.model.context_length / found.context_window - 1) < 0.06, offer.model.id
    assert compared > 90


@given(st.integers(-(10**15), 10**15))
def test_dollars_are_read_as_they_were_written(microdollars: int) -> None:
    assert parse_usd(usd(microdollars)) == microdollars


@pytest.mark.parametrize("text", ["", "ten", "1.0000001", "inf", "nan", "1e20"])
def test_what_is_no_amount(text: str) -> None:
    with pytest.raises(ValueError, match="amount"):
        parse_usd(text)
