"""When an alert is raised, repeated and over."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.alerts import AlertChanged
from libs.config.sinks import AlertRules
from services.sinks.core.alerts import WINDOW_MS, Alerts

RULES = AlertRules(balance_below_usd="5")
USD = 1_000_000
Fact = tuple[str, int, int]
"""Of which topic, the balance's version, and the balance."""


def test_a_balance_that_wavers_is_one_alert() -> None:
    alerts = Alerts(RULES)
    balances = [6, 4.9, 5.1, 4.9, 5.4, 5.5, 5.1]
    found = [one for at, usd in enumerate(balances) for one in alerts.balance("org:o", int(usd * USD), at, version=at)]
    assert [(one.raised, one.at_ms) for one in found] == [(True, 1), (False, 5)]


def test_an_owner_s_own_threshold_is_its_hysteresis_too() -> None:
    alerts = Alerts(AlertRules())
    (raised,) = alerts.balance_low("org:o", 9 * USD, 10 * USD, 1, version=1)
    assert raised.below_microdollars == 10 * USD and "9.00 USD" in raised.text
    assert alerts.balance("org:o", 10 * USD, 2, version=2) == []
    assert [one.raised for one in alerts.balance("org:o", 11 * USD, 3, version=3)] == [False]


def _orders(*topics: list[Fact]) -> Iterator[list[Fact]]:
    """All in which records of several topics can be read: each topic in its own order."""
    if not any(topics):
        yield []
    for number, topic in enumerate(topics):
        if topic:
            rest = [*topics[:number], topic[1:], *topics[number + 1 :]]
            yield from ([topic[0], *others] for others in _orders(*rest))


@pytest.mark.parametrize("ends_low", [False, True])
def test_two_topics_are_read_in_any_order_and_the_newest_balance_counts(ends_low: bool) -> None:
    """Low, topped up, and perhaps low again: whoever reads all is notified of each, and knows how it is now."""
    below, low, high = 10 * USD, 9 * USD, 20 * USD
    balances: list[Fact] = [("balance", 1, low), ("balance", 2, high)] + [("balance", 3, low)] * ends_low
    notices: list[Fact] = [("notice", 1, low)] + [("notice", 3, low)] * ends_low
    for order in _orders(balances, notices):
        alerts, found = Alerts(AlertRules()), list[AlertChanged]()
        for at, (kind, version, balance) in enumerate(order, 1):
            if kind == "notice":
                found += alerts.balance_low("org:o", balance, below, at, version=version)
            else:
                found += alerts.balance("org:o", balance, at, version=version)
        newest = found[-1] if found else None
        assert (newest is not None and newest.raised) == ends_low, order
        notified = [one for one in found if one.raised]
        late = order.index(("balance", 2, high)) < order.index(("notice", 1, low))
        assert len(notified) == (0 if late else 1) + ends_low, order
        assert len({one.event_id for one in found}) == len(found)


def test_a_limit_is_reached_once_and_over_after_a_quiet_time() -> None:
    alerts = Alerts(RULES)
    found = [one for at in range(0, 100_000, 1000) for one in alerts.refused("acct:a", 429, at)]
    assert [one.number for one in found] == [1]
    assert alerts.refused("ip:1.2.3.4", 429, 0) == []
    assert alerts.tick(99_000 + RULES.quiet_s * 1000 - 1) == []
    (over,) = alerts.tick(99_000 + RULES.quiet_s * 1000)
    assert not over.raised


def test_a_provider_is_down_and_up_again() -> None:
    alerts = Alerts(RULES)
    assert alerts.calls("p", 0, 9, 0) == []
    (down,) = alerts.calls("p", 2, 1, 1000)
    assert down.raised and "of 12 calls" in down.text
    assert alerts.calls("p", 5, 0, 2000) == [], "still more than a quarter fails"
    (up,) = alerts.calls("p", 1, 0, 2000 + WINDOW_MS)
    assert not up.raised


def test_dead_letters_until_all_are_resolved() -> None:
    alerts = Alerts(RULES)
    found = [one for count in (0, 3, 2, 5, 0) for one in alerts.letters(count, count)]
    assert [one.raised for one in found] == [True, False]


def test_what_lasts_is_repeated_and_a_restart_begins_nothing_anew() -> None:
    alerts = Alerts(RULES)
    (raised,) = alerts.letters(1, 0)
    again = Alerts(RULES)
    again.load(raised)
    assert again.letters(2, 1) == [] and again.tick(RULES.repeat_s * 1000 - 1) == []
    (repeated,) = again.tick(RULES.repeat_s * 1000)
    assert repeated.number == 2 and repeated.raised


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("balance"), st.integers(0, 10 * USD)),
            st.tuples(st.just("refused"), st.sampled_from([402, 429])),
            st.tuples(st.just("calls"), st.integers(0, 20)),
            st.tuples(st.just("letters"), st.integers(0, 3)),
            st.tuples(st.just("tick"), st.integers(1, 20_000_000)),
        ),
        max_size=60,
    )
)
def test_notifications_of_an_alert_are_numbered_end_once_and_have_ids_of_their_own(
    steps: list[tuple[str, int]],
) -> None:
    alerts, now, found = Alerts(RULES), 0, list[AlertChanged]()
    for what, value in steps:
        now += value if what == "tick" else 1
        match what:
            case "balance":
                found += alerts.balance("org:o", value, now, version=now)
            case "refused":
                found += alerts.refused("org:o", value, now)
            case "calls":
                found += alerts.calls("p", 20 - value, value, now)
            case "letters":
                found += alerts.letters(value, now)
            case _:
                found += alerts.tick(now)
    assert len({one.event_id for one in found}) == len(found)
    for key in {one.state_key for one in found}:
        last: AlertChanged | None = None
        for one in (one for one in found if one.state_key == key):
            begins = last is None or not last.raised
            assert one.raised or not begins, "nothing ends that has not begun"
            assert one.number == (1 if begins else last.number + 1 if last else 1)
            last = one
