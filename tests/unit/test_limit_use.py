"""How much of each limit is used: from what the limiter saved, in the window of now."""

from datetime import UTC, datetime

from contracts.limits import Counted, Limit, LimitsSet, MeterSaved, Scope
from libs.config.gateway import Limits
from services.console.core.limit_use import Counts, LimitUse, fullest, set_by_operator, uses

NOW = datetime(2026, 11, 26, 12, 30, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
DAY_MS = int(datetime(2026, 11, 26, tzinfo=UTC).timestamp() * 1000)
OWNER = "org:org_1"


def _saved(scope: str, meter: str, used: int, start_ms: int = DAY_MS) -> MeterSaved:
    counted = [Counted(meter=meter, start_ms=start_ms, used=used)]
    return MeterSaved(owner=OWNER, scope=scope, applied_offset=1, counted=counted)


def _uses(limit: Limit, *saved: MeterSaved, only: str | None = None) -> LimitUse:
    counts = Counts({one.scope: one for one in saved}, {"acct_a": 700, "acct_b": 900}, NOW_MS, only)
    (found,) = uses(LimitsSet(owner=OWNER, version=2, limits=[limit]), Limits(), counts)
    return found


def test_a_limit_of_all_and_its_end() -> None:
    found = _uses(
        Limit(scope=Scope.ALL, meters={"tokens_per_day": 1_000}), _saved("organization", "tokens_per_day", 250)
    )
    assert (found.used, found.percent, found.of) == (250, 25, None)
    assert found.resets_at == datetime(2026, 11, 27, tzinfo=UTC)


def test_what_was_counted_in_another_window_is_over() -> None:
    limit = Limit(scope=Scope.TEAM, name="core", meters={"requests_per_day": 10})
    assert _uses(limit, _saved("team core", "requests_per_day", 9, DAY_MS - 86_400_000)).used == 0


def test_a_limit_for_each_shows_who_used_the_most() -> None:
    limit = Limit(scope=Scope.KEY, meters={"requests_per_day": 10})
    found = _uses(limit, _saved("key aa", "requests_per_day", 2), _saved("key bb", "requests_per_day", 12))
    assert (found.used, found.of, found.percent) == (12, "bb", 100)
    assert _uses(limit).used == 0


def test_a_member_sees_its_own_use_alone() -> None:
    each = Limit(scope=Scope.MEMBER, meters={"usd_per_day": 1_000_000})
    assert (_uses(each).used, _uses(each).of) == (900, "acct_b")
    assert (_uses(each, only="acct_a").used, _uses(each, only="acct_c").used) == (700, 0)
    another = Limit(scope=Scope.MEMBER, name="acct_b", meters={"usd_per_day": 1_000_000})
    assert _uses(another, only="acct_a").used is None
    team = Limit(scope=Scope.TEAM, name="core", meters={"requests_per_day": 10})
    assert _uses(team, _saved("team core", "requests_per_day", 9), only="acct_a").used is None


def test_only_the_limiter_knows_the_last_minute() -> None:
    for meter in ("requests_per_minute", "concurrent"):
        found = _uses(Limit(scope=Scope.ALL, meters={meter: 5}))
        assert (found.used, found.percent, found.resets_at) == (None, None, None)


def test_the_operator_s_hold_besides() -> None:
    found = uses(
        LimitsSet(owner=OWNER, version=1),
        Limits.model_validate({"organization": {"usd_per_month": "5"}}),
        Counts({}, {}, NOW_MS),
    )
    assert [(one.scope, one.most_shown, one.used_shown, one.by_operator) for one in found] == [
        ("all", "5.000000", "0.000000", True)
    ]


def test_who_has_used_most_of_what_the_operator_allows() -> None:
    limits = Limits.model_validate({"organization": {"requests_per_day": 10}, "account": {"requests_per_day": 100}})
    counted = {
        OWNER: {"organization": _saved("organization", "requests_per_day", 9)},
        "acct:a": {"account": _saved("account", "requests_per_day", 50)},
        "acct:b": {"account": _saved("account", "requests_per_day", 0)},
    }
    found = fullest(limits, counted, NOW_MS, 5)
    assert [(owner, one.percent) for owner, one in found] == [(OWNER, 90), ("acct:a", 50)]
    assert [owner for owner, _one in fullest(limits, counted, NOW_MS, 1)] == [OWNER]
    assert [(scope, meter.name, most) for scope, meter, most in set_by_operator(limits)] == [
        ("account", "requests_per_day", 100),
        ("organization", "requests_per_day", 10),
    ]
