"""Batches, files and quotas as the console shows them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import topics
from contracts.batches import BatchCreated, BatchEnded, Ended, FileStored, Part, Problem
from contracts.outcomes import KeyUse, ProviderKeyUsed
from contracts.services import CONSOLE
from libs.batches.index import BatchIndex
from libs.config.catalog import Catalog
from libs.limits.key_quotas import KeyQuotas
from services.console.core.batch_states import batches_of, files_of, newest
from services.console.core.cursors import Slice, position
from services.console.core.quota_use import quota_uses
from tests.unit.records import Config

DAY_MS = 24 * 3600 * 1000
SEALED = "c2VhbGVk"


def _listed(number: int, key: str, at_ms: int, owner: str) -> dict[str, Any]:
    return {
        "locator": f"{number:032x}",
        "owner": owner,
        "key_fingerprint": key,
        "listed": SEALED,
        "about": SEALED,
        "created_at_ms": at_ms,
        "expires_at_ms": at_ms + 30 * DAY_MS,
    }


def _batch(number: int, key: str = "one", at_ms: int = 0, owner: str = "org:a") -> BatchCreated:
    places = dict.fromkeys(("input_locator", "output_locator", "error_locator"), f"{number:032x}")
    sealed = dict.fromkeys(("output_listed", "error_listed", "output_about", "error_about"), SEALED)
    more = {"lines": 4, "partition": 0, "offset": 0, "due_at_ms": at_ms + DAY_MS}
    return BatchCreated.model_validate(_listed(number, key, at_ms, owner) | places | sealed | more)


def _file(number: int, key: str = "one", at_ms: int = 0, owner: str = "org:a") -> FileStored:
    part = Part(partition=0, offset=0, number=0, lines=3, size=2_000, sealed_bytes=900)
    return FileStored.model_validate(_listed(number, key, at_ms, owner) | {"parts": [part, part]})


def _index(*events: Any) -> BatchIndex:
    index = BatchIndex(30 * DAY_MS)
    for event in events:
        index.apply(event)
    return index


def test_a_batch_is_seen_by_whose_it_is_and_by_whose_key_made_it() -> None:
    index = _index(_batch(1), _batch(2, key="two"), _batch(3, owner="org:b"), _file(4), _file(5, key="two"))
    assert [one.key_fingerprint for one in batches_of(index, "org:a", None, 1)] == ["one", "two"]
    assert [one.key_fingerprint for one in batches_of(index, "org:a", {"two"}, 1)] == ["two"]
    assert batches_of(index, "org:a", frozenset(), 1) == []
    assert [(one.bytes, one.lines) for one in files_of(index, "org:a", {"one"}, 1)] == [(4_000, 6)]
    assert files_of(index, "org:b", None, 1) == []
    assert batches_of(index, "org:a", None, 31 * DAY_MS) == []
    assert files_of(index, "org:a", None, 31 * DAY_MS) == []


def test_nothing_that_opens_a_file_is_shown() -> None:
    index = _index(_batch(1), _file(2))
    shown = [
        one.model_dump_json() for one in (*batches_of(index, "org:a", None, 1), *files_of(index, "org:a", None, 1))
    ]
    assert len(shown) == 2
    assert not [text for text in shown if SEALED in text]
    assert not {topics.FILES, topics.BATCH_ORDERS} & CONSOLE.reads
    assert topics.BATCH_INDEX not in CONSOLE.writes


def test_a_batch_says_how_it_ended_and_why() -> None:
    index = _index(_batch(1))
    before = batches_of(index, "org:a", None, 1)[0]
    assert (before.status, before.percent, before.ended_at) == ("validating", 0, None)
    assert len(index.all_unfinished()) == 1
    problem = Problem(code="invalid", message="Say what is asked.", line=7)
    index.apply(BatchEnded(locator=f"{1:032x}", owner="org:a", status=Ended.FAILED, at_ms=60_000, problems=[problem]))
    after = batches_of(index, "org:a", None, 1)[0]
    assert (after.status, [(one.message, one.line) for one in after.problems]) == (
        "failed",
        [("Say what is asked.", 7)],
    )
    assert after.ended_at
    assert index.all_unfinished() == []


@given(st.lists(st.integers(0, 5), max_size=30), st.integers(1, 7))
def test_pages_have_each_once_the_newest_first(made_at: list[int], limit: int) -> None:
    rows = batches_of(_index(*(_batch(n, at_ms=at) for n, at in enumerate(made_at))), "org:a", None, 1)
    seen, cursor = [], ""
    while True:
        part = newest(rows, Slice(limit, position(cursor) if cursor else None))
        seen += part[:limit]
        if len(part) <= limit:
            break
        cursor = seen[-1].position.cursor()
    assert sorted(one.name for one in seen) == sorted(one.name for one in rows)
    assert [one.created_at for one in seen] == sorted((one.created_at for one in rows), reverse=True)


@pytest.mark.parametrize(("used", "percent"), [(0, 0), (1_999_999, 99), (2_000_000, 100), (9_000_000, 100)])
def test_the_fullest_quota_is_first_and_none_left_is_a_hundred(used: int, percent: int) -> None:
    keys = [{"key": "env:ONE", "quota": {"usd_per_day": "2", "requests_per_month": 10}}, {"key": "env:TWO"}]
    provider = {"base_url": "https://example.com/v1", "api_keys": keys}
    quotas = KeyQuotas()
    quotas.note(
        ProviderKeyUsed(
            relay_id="r",
            provider_id="p",
            variable="ONE",
            hour_at_ms=0,
            hour=KeyUse(requests=5, tokens=1, microdollars=used),
            minute_at_ms=0,
            minute=KeyUse(),
        )
    )
    rows = quota_uses(quotas, Catalog(Config.model_validate({"providers": {"p": provider}})), 1_000)
    assert {(one.limit, one.percent) for one in rows} == {("usd_per_day", percent), ("requests_per_month", 50)}
    assert rows[0].percent >= rows[1].percent
    money = next(one for one in rows if one.limit == "usd_per_day")
    assert (money.variable, money.most, money.resets_at.isoformat()) == ("ONE", "2.000000", "1970-01-02T00:00:00+00:00")
