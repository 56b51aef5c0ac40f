"""Quotas of provider keys: what relays report is summed by window, each report once."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.outcomes import KeyUse, ProviderKeyUsed
from libs.config.catalog import Catalog
from libs.config.providers import Model, Pricing, Provider, WeightedKey
from libs.limits.catalog import METERS, Window
from libs.limits.key_quotas import KeyQuotas
from libs.sealing.grants import Epoch
from services.key_vault.core.book import CredentialBook
from services.key_vault.core.granting import Granting
from services.relay.core.key_uses import KeyUses
from tests.unit.records import NOW_MS, Config, accepted

HOUR_MS = 3_600_000
USE = KeyUse(requests=1, tokens=10, microdollars=7)


BEGUN_MS = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp() * 1000)

uses = st.lists(
    st.tuples(st.sampled_from(["one", "two"]), st.integers(0, 40 * 24), st.booleans()).map(
        lambda use: (use[0], BEGUN_MS + use[1] * HOUR_MS // 4, use[2])
    ),
    max_size=60,
)


@given(uses)
def test_every_use_counts_once_in_each_of_its_windows(used: list[tuple[str, int, bool]]) -> None:
    relays, quotas = {name: KeyUses(name) for name in ("one", "two")}, KeyQuotas()
    reports: list[ProviderKeyUsed] = []
    used = sorted(used, key=lambda use: use[1])
    for relay, at_ms, publish in used:
        relays[relay].note("p", "KEY", USE, at_ms)
        if publish:
            reports += relays[relay].take()
    for one in relays.values():
        reports += one.take()
    reports.sort(key=lambda report: report.hour_at_ms)
    for report in [*reports, *reports]:
        quotas.note(report)
    now_ms = used[-1][1] if used else NOW_MS
    for window in (Window.HOUR, Window.DAY, Window.WEEK, Window.MONTH):
        count = sum(window.start_ms(at_ms) == window.start_ms(now_ms) for _, at_ms, _ in used)
        assert quotas.used("p", "KEY", f"requests_per_{window}", now_ms) == count
        assert quotas.used("p", "KEY", f"tokens_per_{window}", now_ms) == 10 * count
        assert quotas.used("p", "KEY", f"usd_per_{window}", now_ms) == 7 * count
        assert quotas.used("p", "KEY", f"requests_per_{window}", window.end_ms(now_ms)) == 0
    assert quotas.used("p", "OTHER", "requests_per_day", now_ms) == 0


def test_a_minute_is_that_of_the_clock_over_all_relays() -> None:
    quotas = KeyQuotas()
    for relay in ("one", "two"):
        uses = KeyUses(relay)
        for at_ms in (NOW_MS - NOW_MS % 60_000 - 1, NOW_MS, NOW_MS + 1):
            uses.note("p", "KEY", USE, at_ms)
        for report in uses.take():
            quotas.note(report)
    assert quotas.used("p", "KEY", "requests_per_minute", NOW_MS) == 4
    assert quotas.used("p", "KEY", "requests_per_minute", NOW_MS + 60_000) == 0


def _used(variable: str) -> ProviderKeyUsed:
    hour_ms = NOW_MS - NOW_MS % HOUR_MS
    return ProviderKeyUsed(
        relay_id="r", provider_id="p", variable=variable, hour_at_ms=hour_ms, hour=USE, minute_at_ms=hour_ms, minute=USE
    )


def test_a_key_that_has_used_up_its_quota_is_granted_to_nobody() -> None:
    keys = [WeightedKey(key=f"env:{name}", quota={"requests_per_day": 1}) for name in ("ONE", "TWO")]
    model = Model(id="stub/echo", provider="p", upstream_model="u", pricing=Pricing(prompt="0", completion="0"))
    catalog = Catalog(Config(providers={"p": Provider(base_url="http://p", api_keys=keys)}, models=[model]))
    quotas, epoch = KeyQuotas(), Epoch.generate("e", lambda _: 0)
    granting = Granting({"ONE": "sk-1", "TWO": "sk-2"}, CredentialBook(), None, quotas=quotas)  # type: ignore[arg-type]
    seen = []
    for variable in ("ONE", "TWO"):
        granted = granting.grant(accepted(), catalog, epoch)
        seen.append(sorted(grant.key for grant in granted.grants))
        quotas.note(_used(variable))
    assert seen == [[0, 1], [1]]
    refusal = granting.grant(accepted(), catalog, epoch).refusal
    assert refusal
    assert (refusal.status, "used up" in refusal.message) == (503, True)


def test_a_quota_has_a_window() -> None:
    assert WeightedKey(key="env:A", quota={"usd_per_day": "1.5"}).quota == {"usd_per_day": 1_500_000}
    for quota in ({"concurrent": 1}, {"colours_per_day": 1}, {"usd_per_day": "x"}):
        with pytest.raises(ValidationError):
            WeightedKey(key="env:A", quota=quota)
    assert {"requests_per_minute", "tokens_per_week", "usd_per_month"} <= set(METERS)


def test_each_quota_says_what_was_used_of_it() -> None:
    quotas, relay = KeyQuotas(), KeyUses("one")
    relay.note("p", "KEY", USE, NOW_MS)
    for report in relay.take():
        quotas.note(report)
    asked = {"p": {"KEY": {"tokens_per_day": 100}, "OTHER": {"usd_per_day": 9}}}
    assert list(quotas.standing(asked, NOW_MS)) == [
        (("p", "KEY", "tokens_per_day"), 10, 100),
        (("p", "OTHER", "usd_per_day"), 0, 9),
    ]
