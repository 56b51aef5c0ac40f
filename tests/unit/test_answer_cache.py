"""Which requests are the same, who is given an answer again, and how much is kept."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.answers import AnswerCached, AnswersForgotten, CacheUse
from contracts.requests import Caller, Surface
from libs.config.gateway import AnswerCaching
from libs.sealing.answers import AnswerKey
from libs.sealing.hybrid import SealError
from services.ingress.core.caching import cache_use
from services.ingress.core.errors import BadRequest
from services.relay.core.answers import AnswerBook, normalised
from tests.unit.records import NOW_MS, accepted

CALLER = Caller(account_id="a")
SECRET = b"s" * 32


def _use(
    body: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
    *,
    caller: Caller | None = CALLER,
    surface: Surface = Surface.CHAT_COMPLETIONS,
    **config: Any,
) -> CacheUse | None:
    return cache_use(surface, body or {}, headers or {}, caller, AnswerCaching(**config))


@pytest.mark.parametrize(
    ("body", "headers", "config", "wanted"),
    [
        ({}, {}, {}, None),
        ({}, {"cache-control": "max-age=60"}, {}, None),
        ({"cache": True}, {}, {}, CacheUse(ttl_s=3600)),
        ({"cache": {"ttl": 5}}, {}, {}, CacheUse(ttl_s=5)),
        ({"cache": {"ttl": 10**9}}, {}, {}, CacheUse(ttl_s=7_200)),
        ({"cache": {"s-maxage": 7}}, {}, {}, CacheUse(ttl_s=3600, max_age_s=7)),
        ({"cache": {"no-cache": True}}, {}, {}, CacheUse(ttl_s=3600, reads=False)),
        ({"cache": {"no-store": True}}, {}, {}, CacheUse(ttl_s=3600, writes=False)),
        ({"cache": {"use-cache": False}}, {}, {"enabled": True}, None),
        ({"cache": False}, {}, {"enabled": True}, None),
        ({}, {}, {"enabled": True, "ttl_s": 9}, CacheUse(ttl_s=9)),
        ({}, {"cache-control": "no-cache"}, {"enabled": True}, CacheUse(ttl_s=3600, reads=False)),
        ({}, {"cache-control": "no-store"}, {"enabled": True}, None),
        (
            {},
            {"cache-control": "No-Cache, max-age=3"},
            {"enabled": True},
            CacheUse(ttl_s=3600, reads=False, max_age_s=3),
        ),
        ({}, {"x-sluice-cache": "on"}, {}, CacheUse(ttl_s=3600)),
        ({}, {"x-sluice-cache": "shared, ttl=60, join"}, {}, CacheUse(ttl_s=60, shared=True, joins=True)),
        ({}, {"x-sluice-cache": "off"}, {"enabled": True}, None),
        ({"cache": True, "store": True}, {}, {}, None),
    ],
)
def test_what_a_request_wants(
    body: dict[str, Any], headers: dict[str, str], config: dict[str, Any], wanted: CacheUse | None
) -> None:
    assert _use(body, headers, **config) == wanted


def test_who_has_no_account_and_what_is_no_conversation_are_not_cached() -> None:
    assert _use({"cache": True}, caller=None) is None
    assert _use({"cache": True}, surface=Surface.SPEECH) is None


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"cache": 3}, {}),
        ({"cache": {"ttl": -1}}, {}),
        ({"cache": {"ttl": "1"}}, {}),
        ({}, {"x-sluice-cache": "maybe"}),
    ],
)
def test_a_wish_that_there_is_not_is_refused(body: dict[str, Any], headers: dict[str, str]) -> None:
    with pytest.raises(BadRequest):
        _use(body, headers)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def _shuffled(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shuffled(value[name]) for name in reversed(list(value))}
    return [_shuffled(one) for one in value] if isinstance(value, list) else value


@given(st.dictionaries(st.text(max_size=3), _JSON, max_size=4))
def test_the_order_of_fields_makes_no_other_request(body: dict[str, Any]) -> None:
    assert normalised(accepted(), body) == normalised(accepted(), _shuffled(body))
    assert normalised(accepted(), body) == normalised(accepted(), {**body, "user": "u", "metadata": {}, "tags": []})


@given(_JSON, _JSON)
def test_other_values_make_another_request(one: Any, other: Any) -> None:
    same = normalised(accepted(), {"messages": one}) == normalised(accepted(), {"messages": other})
    assert same is (repr(_sorted(one)) == repr(_sorted(other)))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "changes",
    [{"model": "o"}, {"stream": True}, {"effort": "low"}, {"cap_tokens": 5}, {"surface": Surface.MESSAGES}],
)
def test_so_does_what_the_gateway_adds(changes: dict[str, Any]) -> None:
    assert normalised(accepted(), {}) != normalised(accepted(**changes), {})


def test_an_answer_opens_with_its_own_request_owner_and_secret_alone() -> None:
    key = AnswerKey.derive(SECRET, "acct:a", b"request")
    sealed = key.seal(b"answer")
    assert b"answer" not in sealed
    assert key.open(sealed, most_bytes=100) == b"answer"
    for other in (
        AnswerKey.derive(SECRET, "acct:b", b"request"),
        AnswerKey.derive(SECRET, "acct:a", b"another"),
        AnswerKey.derive(b"t" * 32, "acct:a", b"request"),
    ):
        assert other.locator != key.locator
        with pytest.raises(SealError):
            other.open(sealed, most_bytes=100)
    for broken in (b"", sealed[:-1], bytes([sealed[0] ^ 1]) + sealed[1:]):
        with pytest.raises(SealError):
            key.open(broken, most_bytes=100)
    with pytest.raises(SealError):
        key.open(key.seal(b"a" * 1000), most_bytes=100)


def _cached(number: int, owner: str = "a", size: int = 10, *, at_ms: int = NOW_MS, ttl_ms: int = 1000) -> AnswerCached:
    return AnswerCached(
        locator=f"{number:032x}",
        owner=owner,
        cached_at_ms=at_ms,
        expires_at_ms=at_ms + ttl_ms,
        sealed=bytes([number]) * size,
    )


def test_an_answer_ages_and_expires() -> None:
    book = AnswerBook(1000)
    book.apply(_cached(1, ttl_ms=5_000), NOW_MS)
    locator = f"{1:032x}"
    assert book.find(locator, NOW_MS + 2_000, None)
    assert book.find(locator, NOW_MS + 2_000, 2)
    assert book.find(locator, NOW_MS + 2_001, 2) is None
    assert book.find(locator, NOW_MS + 5_000, None) is None
    assert len(book) == 0


def test_the_newest_answer_counts_whatever_the_log_s_order() -> None:
    book = AnswerBook(1000)
    book.apply(_cached(1, size=20, at_ms=NOW_MS + 1), NOW_MS)
    book.apply(_cached(1, size=10), NOW_MS)
    assert len(book.find(f"{1:032x}", NOW_MS, None) or b"") == 20


def test_what_is_forgotten_does_not_come_back() -> None:
    book = AnswerBook(1000)
    book.apply(_cached(1), NOW_MS)
    book.apply(_cached(2, "b"), NOW_MS)
    book.apply(AnswersForgotten(owner="a", forgotten_at_ms=NOW_MS), NOW_MS)
    book.apply(_cached(1), NOW_MS)
    assert book.find(f"{1:032x}", NOW_MS, None) is None
    assert book.find(f"{2:032x}", NOW_MS, None)
    book.apply(_cached(1, at_ms=NOW_MS + 1), NOW_MS)
    assert book.find(f"{1:032x}", NOW_MS + 1, None)


@given(st.lists(st.tuples(st.integers(1, 30), st.sampled_from("abc"), st.integers(1, 40)), max_size=60))
def test_no_owner_and_not_all_together_have_more_than_their_room(story: list[tuple[int, str, int]]) -> None:
    book = AnswerBook(100)
    kept: dict[str, tuple[str, int]] = {}
    for number, (name, owner, size) in enumerate(story):
        record = _cached(name, owner, size, at_ms=NOW_MS + number, ttl_ms=10**6)
        book.apply(record, NOW_MS)
        kept[record.locator] = (owner, size)
        found = {one: book.find(one, NOW_MS, None) for one in kept}
        sizes = {one: len(sealed) for one, sealed in found.items() if sealed}
        assert sum(sizes.values()) <= 100
        for each in "abc":
            assert sum(size for one, size in sizes.items() if kept[one][0] == each) <= 25
