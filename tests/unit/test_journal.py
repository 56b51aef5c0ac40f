"""Entries of the journal, alerts, and the audit that compares them with the log."""

from collections import defaultdict
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.credit import BalanceChanged, BalanceLow, CreditKind, CreditOrdered, CreditSettingsSet, TopUpDue
from contracts.replies import Outcome
from contracts.requests import Caller
from libs.pricing.charging import cost_of
from services.audit.core.comparing import OVERDUE_MS, Booked, Books, audit
from services.metering.core.alerts import Notified, due
from services.metering.core.journal import charged, ordered, owner_of
from services.metering.core.pricing import charge
from services.relay.core.ending import Ending, attempt_ended
from tests.unit.records import NOW_MS, PRICE, request_id, route

money = st.integers(-(10**9), 10**9)


def _order(kind: CreditKind, amount: int) -> CreditOrdered:
    return CreditOrdered(
        entry_id=request_id(1),
        owner="acct:a",
        kind=kind,
        amount_microdollars=amount,
        ordered_by="operator",
        ordered_at_ms=NOW_MS,
    )


@given(st.sampled_from(CreditKind), money)
def test_an_order_moves_its_amount_into_or_out_of_the_owner_s_credit(kind: CreditKind, amount: int) -> None:
    allowed = {CreditKind.TOP_UP: amount > 0, CreditKind.REFUND: amount < 0, CreditKind.ADJUSTMENT: amount != 0}
    if not allowed[kind]:
        with pytest.raises(ValueError, match="is none"):
            ordered(_order(kind, amount))
        return
    entry = ordered(_order(kind, amount))
    sides: dict[str, int] = defaultdict(int)
    sides[entry.credit_account] += entry.amount_microdollars
    sides[entry.debit_account] -= entry.amount_microdollars
    assert sides["credit:acct:a"] == amount
    assert sum(sides.values()) == 0


@pytest.mark.parametrize(
    ("caller", "debit"),
    [
        (Caller(account_id="a"), "credit:acct:a"),
        (Caller(account_id="a", organization_id="o"), "credit:org:o"),
        (Caller(ip="10.0.0.1"), "nobody"),
    ],
)
def test_a_charge_is_paid_by_the_owner(caller: Caller, debit: str) -> None:
    usage = attempt_ended(route(), Ending(Outcome.COMPLETED), NOW_MS).usage.model_copy(update={"caller": caller})
    entry = charged(charge(usage, cost_of(usage, PRICE), NOW_MS), owner_of(caller))
    assert (entry.debit_account, entry.credit_account) == (debit, "revenue")


@given(st.lists(st.integers(-100, 100), max_size=30), st.none() | st.integers(0, 50), st.none() | st.integers(0, 50))
def test_each_fall_below_a_threshold_is_published_once(
    balances: list[int], alert: int | None, top_up: int | None
) -> None:
    settings = CreditSettingsSet(
        owner="acct:a",
        alert_below_microdollars=alert,
        top_up_below_microdollars=top_up,
        top_up_microdollars=None if top_up is None else 10,
    )
    notified, published = Notified(), []
    for version, balance in enumerate(balances, 1):
        changed = BalanceChanged(owner="acct:a", balance_microdollars=balance, version=version)
        events, notified = due(settings, changed, notified, NOW_MS)
        published += [(type(event), event.balance_microdollars) for event in events]

    def falls(threshold: int | None) -> list[int]:
        if threshold is None:
            return []
        before = [threshold, *balances]
        return [now for was, now in zip(before, balances, strict=False) if was >= threshold > now]

    assert [balance for kind, balance in published if kind is BalanceLow] == falls(alert)
    assert [balance for kind, balance in published if kind is TopUpDue] == falls(top_up)


@st.composite
def exact_books(draw: st.DrawFn) -> Books:
    books = Books(now_ms=NOW_MS)
    for number in range(draw(st.integers(1, 8))):
        cost = draw(st.integers(0, 1_000))
        name = UUID(request_id(number))
        books.accepted[name] = NOW_MS + draw(st.sampled_from([-2 * OVERDUE_MS, OVERDUE_MS]))
        books.booked[name] = Booked(draw(st.sampled_from(Outcome)).value, cost, cost)
        if draw(st.booleans()):
            books.charged[name] = cost
        else:
            books.unpublished.add(name)
        books.usage_total += cost
    books.revenue = books.usage_total
    books.rolled_up = books.usage_total
    return books


@given(exact_books())
def test_exact_books_hold(books: Books) -> None:
    report = audit(books)
    assert report.holds
    assert report.accepted == sum(report.outcomes.values()) + report.in_flight


@given(exact_books(), st.data())
def test_whatever_is_wrong_is_found(books: Books, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(books.booked)))
    booked = books.booked[name]
    ways = ["no entry", "not accepted", "journal differs", "journal lacks", "charge differs", "no charge", "balance"]
    wrong = data.draw(st.sampled_from([*ways, "overrun"]))
    match wrong:
        case "no entry":
            books.accepted[name] = NOW_MS - OVERDUE_MS
            del books.booked[name]
        case "not accepted":
            del books.accepted[name]
        case "journal differs":
            books.booked[name] = Booked(booked.outcome, booked.cost_microdollars, booked.cost_microdollars + 1)
        case "journal lacks":
            books.booked[name] = Booked(booked.outcome, booked.cost_microdollars, None)
        case "charge differs":
            books.unpublished.discard(name)
            books.charged[name] = booked.cost_microdollars + 1
        case "no charge":
            books.unpublished.discard(name)
            books.charged.pop(name, None)
        case "overrun":
            cost = booked.cost_microdollars
            books.booked[name] = Booked(booked.outcome, cost, cost, cost - 1)
        case "balance":
            books.balances["acct:a"] = (1, 2)
    report = audit(books)
    assert not report.holds
    assert len(report.differences) == 1


def test_a_request_that_may_still_end_is_in_flight() -> None:
    books = Books(now_ms=NOW_MS, accepted={UUID(request_id(1)): NOW_MS + 1})
    report = audit(books)
    assert (report.holds, report.in_flight, report.accepted) == (True, 1, 1)


def test_an_overrun_of_which_billing_was_told_is_known_and_no_difference() -> None:
    name, cost = UUID(request_id(1)), 2**70
    books = Books(
        now_ms=NOW_MS,
        accepted={name: NOW_MS},
        booked={name: Booked("completed", cost, cost, 5)},
        charged={name: cost},
        announced={name},
        revenue=cost,
        usage_total=cost,
        rolled_up=cost,
    )
    report = audit(books)
    assert report.holds
    assert report.overruns == [f"request {name} cost {cost} microdollars, and 5 were held for it"]
    books.announced.clear()
    report = audit(books)
    assert report.overruns == []
    assert report.differences == [
        f"request {name} cost {cost} microdollars, and 5 were held for it, and billing was not notified"
    ]
