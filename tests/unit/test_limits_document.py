"""Limits and teams as owners write them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.limits import LimitsSet, Scope
from libs.limits.catalog import METERS, MOST, USD, parse_amount, shown_amount
from services.console.core import limits_document as documents
from services.console.errors import BadInput, Conflict, NotFound

EMPTY = LimitsSet(owner="org:o", version=1, teams={"core": ["acct_a"]})
KEY = "0123456789abcdef"


def test_what_is_written_is_shown_and_what_is_taken_away_is_gone() -> None:
    one = documents.changed(EMPTY, "team:core", {"usd_per_month": "12.5", "requests_per_day": 7})
    two = documents.changed(one, f"key-model:{KEY}/openai/gpt-5.2", {"concurrent": "3"})
    assert two.version == 3
    assert two.meters(Scope.TEAM, "core") == {"usd_per_month": 12_500_000, "requests_per_day": 7}
    assert documents.shown(two) == {
        f"key-model:{KEY}/openai/gpt-5.2": {"concurrent": 3},
        "team:core": {"usd_per_month": "12.500000", "requests_per_day": 7},
    }
    left = documents.changed(two, "team:core", {"usd_per_month": None, "tokens_per_hour": None})
    assert left.meters(Scope.TEAM, "core") == {"requests_per_day": 7}
    assert documents.changed(left, "team:core", {"requests_per_day": None}).meters(Scope.TEAM, "core") == {}


@pytest.mark.parametrize(
    ("scope", "meters", "error"),
    [
        ("everything", {"concurrent": 1}, BadInput),
        ("all:me", {"concurrent": 1}, BadInput),
        ("team:other", {"concurrent": 1}, NotFound),
        ("team:", {"concurrent": 1}, BadInput),
        ("key:sk-secret", {"concurrent": 1}, BadInput),
        ("model:a b", {"concurrent": 1}, BadInput),
        ("all", {"bananas_per_day": 1}, BadInput),
        ("all", {"requests_per_day": "-1"}, BadInput),
        ("all", {"requests_per_day": "1.5"}, BadInput),
        ("all", {"requests_per_day": MOST + 1}, BadInput),
        ("all", {"usd_per_day": "0.0000001"}, BadInput),
        ("all", {"usd_per_day": "NaN"}, BadInput),
    ],
)
def test_what_makes_no_sense_is_refused(scope: str, meters: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        documents.changed(EMPTY, scope, meters)


@pytest.mark.parametrize("scope", ["member", "team:core"])
def test_an_account_has_neither_members_nor_teams(scope: str) -> None:
    with pytest.raises(BadInput):
        documents.changed(LimitsSet(owner="acct:a", version=1), scope, {"concurrent": 1})


def test_there_are_only_so_many() -> None:
    many = EMPTY
    for number in range(documents.MOST_LIMITS):
        many = documents.changed(many, f"model:m/{number}", {"concurrent": 1})
    with pytest.raises(BadInput):
        documents.changed(many, "all", {"concurrent": 1})
    with pytest.raises(BadInput):
        documents.with_team(EMPTY, "core", ["acct_a"] * (documents.MOST_TEAM_MEMBERS + 1))


def test_limits_go_with_their_key_and_members_with_their_organization() -> None:
    one = documents.changed(documents.changed(EMPTY, f"key:{KEY}", {"concurrent": 1}), "all", {"concurrent": 2})
    one = documents.changed(one, f"key-model:{KEY}/m", {"concurrent": 3})
    other = documents.renamed(one, KEY, "f" * 16)
    assert other is not None
    assert documents.shown(other) == {
        "all": {"concurrent": 2},
        f"key:{'f' * 16}": {"concurrent": 1},
        f"key-model:{'f' * 16}/m": {"concurrent": 3},
    }
    gone = documents.renamed(other, "f" * 16, None)
    assert gone is not None
    assert documents.shown(gone) == {"all": {"concurrent": 2}}
    assert documents.renamed(gone, KEY, None) is None
    left = documents.without_member(EMPTY, "acct_a")
    assert left is not None
    assert left.teams == {"core": []}
    assert documents.without_member(left, "acct_a") is None


def test_a_team_with_limits_stays() -> None:
    limited = documents.changed(EMPTY, "team:core", {"concurrent": 1})
    with pytest.raises(Conflict):
        documents.without_team(limited, "core")
    assert documents.without_team(EMPTY, "core").teams == {}


@given(st.sampled_from(list(METERS.values())), st.integers(0, 10**12))
def test_an_amount_is_read_as_it_is_shown(meter: Any, amount: int) -> None:
    shown = shown_amount(meter, amount)
    assert isinstance(shown, str) == (meter.quantity is USD)
    assert parse_amount(meter.name, shown) == amount
