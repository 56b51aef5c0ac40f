"""Dollars as people read them."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.pricing.usd import dollars


@pytest.mark.parametrize(
    ("microdollars", "shown"),
    [
        (0, "$0.00"),
        (18, "$0.000018"),
        (125_000, "$0.125"),
        (5_000_000, "$5.00"),
        (1_234_500_000, "$1,234.50"),
        (-1, "-$0.000001"),
    ],
)
def test_they_are_exact_and_have_cents(microdollars: int, shown: str) -> None:
    assert dollars(microdollars) == shown


@given(st.integers(-(10**15), 10**15))
def test_nothing_is_rounded_and_nothing_is_in_powers_of_ten(microdollars: int) -> None:
    shown = dollars(microdollars)
    assert Decimal(shown.replace("$", "").replace(",", "")) * 1_000_000 == microdollars
    assert len(shown.partition(".")[2]) >= 2
