"""Microdollars: exact, rounded once, and zero where nobody pays."""

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.replies import Outcome
from contracts.usage import TokenUsage
from libs.config.catalog import Catalog, NoPriceError, cost_microdollars
from libs.config.gateway import GatewayConfig, Model, Pricing, Provider, load_config
from services.metering.pricing import UNPRICED, charge
from services.relay.ending import Ending, tell
from tests.unit.records import NOW_MS, route

AT = datetime(2026, 11, 24, tzinfo=UTC)
PRICING = Pricing(
    prompt=Decimal("0.0000025"),
    completion=Decimal("0.00001"),
    cache_read=Decimal("0.00000025"),
    cache_write=Decimal("0.000003"),
)


def _catalog(pricing: Pricing | None = PRICING, model_id: str = "stub/echo") -> Catalog:
    return Catalog(
        GatewayConfig(
            providers={"stub": Provider(base_url="http://x")},
            models=[Model(id=model_id, provider="stub", upstream_model="echo-1", pricing=pricing)],
        )
    )


counts = st.integers(0, 10_000_000)


@given(counts, counts, counts, counts)
def test_cost_is_exact_to_the_microdollar(fresh: int, read: int, written: int, output: int) -> None:
    tokens = TokenUsage(
        input_tokens=fresh + read + written,
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=written,
    )
    offer = _catalog().find("stub/echo")
    assert offer is not None
    cost, version = cost_microdollars(offer, tokens, AT)
    exact = (
        fresh * Fraction("2.5") + read * Fraction("0.25") + written * Fraction(3) + output * Fraction(10)
    )  # microdollars
    assert cost == int((Decimal(exact.numerator) / exact.denominator).to_integral_value(ROUND_HALF_UP))
    assert version == "config"


def _charge(catalog: Catalog, tokens: TokenUsage, **changes: object) -> tuple[int, str]:
    ended = tell(route(), Ending(Outcome.COMPLETED, tokens=tokens), NOW_MS)
    charged = charge(ended.usage.model_copy(update=changes), catalog, NOW_MS)
    return charged.cost_microdollars, charged.price_version


def test_who_does_not_pay() -> None:
    tokens = TokenUsage(input_tokens=1_000, output_tokens=1_000)
    assert _charge(_catalog(), tokens) == (12_500, "config")
    assert _charge(_catalog(), tokens, byok=True) == (0, "byok")
    assert _charge(_catalog(), tokens, free=True) == (0, "free")
    assert _charge(_catalog(), TokenUsage()) == (0, "no tokens")
    assert _charge(_catalog(), tokens, model="gone/model") == (0, UNPRICED)


def test_a_model_without_a_price_says_what_to_do() -> None:
    offer = _catalog(pricing=None).find("stub/echo")
    assert offer is not None
    with pytest.raises(NoPriceError, match="add `pricing`"):
        cost_microdollars(offer, TokenUsage(input_tokens=1), AT)


def test_every_model_of_the_default_file_has_a_price() -> None:
    catalog = Catalog(load_config(None))
    assert len(catalog.providers) == 14
    for offer in catalog.offers.values():
        cost, version = cost_microdollars(offer, TokenUsage(input_tokens=1_000_000, output_tokens=1_000_000), AT)
        assert offer.model.free or cost > 0, offer.model.id
        assert version
