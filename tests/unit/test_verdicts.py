"""The verdict on a paid request: which limits hold for it, what it may wait for, and what its client reads."""

from datetime import timedelta
from typing import Any

import pytest

from contracts.control import PolicySet
from contracts.credit import MemberSpent
from contracts.decisions import Held, QuotaReserved
from contracts.labels import Labels
from contracts.limits import Limit, LimitsSet, Scope
from contracts.prices import Price, Rates
from contracts.replies import Outcome
from contracts.requests import Caller
from contracts.usage import TokenUsage
from libs.config.gateway import Billing, Limits
from libs.limits.catalog import MINUTE_MS, Window, amounts_used
from libs.pricing.charging import cost_of
from services.rate_limit.core.balances import Balances, day_of
from services.rate_limit.core.book import Book
from services.rate_limit.core.bounds import Counts, Rules, Views, bounds_of
from services.rate_limit.core.verdicts import ORPHAN_AFTER_MS, Judge, Lacking, asked, counts_of
from services.relay.core.ending import Ending, attempt_ended
from tests.unit.records import NOW_MS, PRICE, accepted, policy, request_id, route

MIDNIGHT_MS = Window.DAY.end_ms(NOW_MS)
MEMBER = Caller(account_id="a", organization_id="o", role="member", key_fingerprint="k")


def _judge(
    limits: Limits | None = None,
    billing: Billing | None = None,
    policy_: PolicySet | None = None,
    own: LimitsSet | None = None,
    personal: LimitsSet | None = None,
) -> Judge:
    views = Views({one.owner: one for one in (own, personal) if one}, {"o": policy_} if policy_ else {})
    return Judge(lambda: Rules(limits or Limits(), billing or Billing()), views)


def _book(balance: int, owner: str = "acct:a") -> Book:
    book = Book(owner)
    book.balance_is(balance, 1)
    return book


def _decide(
    judge: Judge,
    book: Book,
    number: int = 1,
    *,
    byok: bool = False,
    now_ms: int = NOW_MS,
    price: Price = PRICE,
    **changes: Any,
) -> QuotaReserved:
    """Of a request that does not wait; it can cost 600 microdollars and use 150 tokens."""
    request = accepted(number, **({"input_tokens_most": 100, "output_tokens_most": 50} | changes))
    one = asked(request, [price], byok=byok)
    assert one is not None
    decided = judge.decide(book, one, now_ms, last=True)
    assert isinstance(decided, QuotaReserved)
    return decided


def _ends(book: Book, number: int = 1, *, microdollars: int = 0, at_ms: int = NOW_MS) -> None:
    amounts = {"requests": 1, "tokens": 10, "usd": microdollars}
    book.ended(request_id(number), (), amounts, at_ms=at_ms, now_ms=at_ms, offset=number)


def test_without_credit_the_answer_is_402_with_all_that_one_needs_to_know() -> None:
    judge = _judge(billing=Billing(buy_credits_url="https://example.com/buy"))
    decided = _decide(judge, _book(599))
    assert decided.refusal is not None
    assert decided.held is None
    assert decided.refusal.status == 402
    assert "0.000600" in decided.refusal.message
    assert "0.000599" in decided.refusal.message
    assert decided.refusal.metadata == {
        "limit": "credit-balance",
        "leftMicrodollars": 599,
        "neededMicrodollars": 600,
        "heldMicrodollars": 0,
        "buyCreditsUrl": "https://example.com/buy",
    }
    assert _decide(judge, _book(600)).held is not None


def test_the_same_request_is_held_once_and_the_next_sees_it() -> None:
    judge, book = _judge(), _book(1_199)
    assert _decide(judge, book, 1).held is not None
    refused = _decide(judge, book, 2).refusal
    assert refused is not None
    assert "0.000600 USD are held" in refused.message
    late = NOW_MS + 600_000 + ORPHAN_AFTER_MS
    assert _decide(judge, book, 3, now_ms=late).held is not None


def test_own_keys_free_prices_and_postpaid_need_no_credit() -> None:
    own = _decide(_judge(), _book(0), byok=True)
    assert own.byok
    assert own.held is not None
    assert own.held.microdollars == 0
    free = PRICE.model_copy(update={"tiers": [Rates(input=0, output=0)]})
    assert _decide(_judge(), _book(0), price=free).refusal is None
    assert _decide(_judge(billing=Billing(prepaid=False)), _book(0)).refusal is None


def test_a_model_without_a_price_is_not_given_away() -> None:
    assert asked(accepted(), [], byok=False) is None
    assert asked(accepted(), [], byok=True) is not None


@pytest.mark.parametrize(("own_limit", "fits"), [({}, False), ({"a": 600}, True), ({"b": 600}, False)])
def test_a_member_s_own_daily_limit_goes_before_the_organization_s(own_limit: dict[str, int], fits: bool) -> None:
    judge = _judge(policy_=policy(member_daily_limit_microdollars=599, member_daily_limits=own_limit))
    decided = _decide(judge, _book(10**6, "org:o"), caller=MEMBER)
    assert (decided.refusal is None) == fits
    if decided.refusal:
        assert decided.refusal.status == 402
        assert "daily limit" in decided.refusal.message
        assert decided.refusal.metadata["limit"] == "member-usd-day"
        assert decided.refusal.retry_after_s == (MIDNIGHT_MS - NOW_MS) // 1000


def test_a_daily_limit_begins_anew_at_midnight_utc_and_days_are_kept_apart() -> None:
    judge, book = _judge(policy_=policy(member_daily_limit_microdollars=700)), _book(10**6, "org:o")

    def fits(number: int, at_ms: int) -> bool:
        return _decide(judge, book, number, caller=MEMBER, accepted_at_ms=at_ms).refusal is None

    assert fits(1, MIDNIGHT_MS - 1)
    assert not fits(2, MIDNIGHT_MS - 1)
    assert fits(3, MIDNIGHT_MS)
    book.spent_is("a", day_of(MIDNIGHT_MS), 600)
    _ends(book, 3, microdollars=600, at_ms=MIDNIGHT_MS)
    book.charged(request_id(3), MIDNIGHT_MS)
    _ends(book, 1, microdollars=600, at_ms=MIDNIGHT_MS - 1)
    book.spent_is("a", day_of(MIDNIGHT_MS - 1), 600)
    book.charged(request_id(1), MIDNIGHT_MS)
    assert not fits(4, MIDNIGHT_MS - 1), "a request of before midnight counts where it belongs, however late it comes"
    assert not fits(5, MIDNIGHT_MS)


def test_days_are_forgotten_once_no_request_of_them_can_come() -> None:
    balances, keep_ms = Balances(), 60_000
    for days in (0, 1):
        day = day_of(MIDNIGHT_MS) - timedelta(days=days)
        balances.apply(MemberSpent(owner="org:o", account_id="a", day=day, spent_microdollars=7))
    book = _book(0, "org:o")
    balances.give("org:o", book)
    daily = _judge(policy_=policy(member_daily_limit_microdollars=700))
    bound = next(one for one in daily.bounds(book, Counts("org:o", "a", None, "m")) if one.scope == "member a")
    assert [book.used(bound, at_ms) for at_ms in (MIDNIGHT_MS - 1, MIDNIGHT_MS)] == [7, 7]
    book.forget(MIDNIGHT_MS + keep_ms, keep_ms)
    balances.forget(day_of(MIDNIGHT_MS))
    later = _book(0, "org:o")
    balances.give("org:o", later)
    for one in (book, later):
        assert [one.used(bound, at_ms) for at_ms in (MIDNIGHT_MS - 1, MIDNIGHT_MS)] == [0, 7]


def test_rate_limits_say_where_they_stand_and_when_to_come_again() -> None:
    account = {"requests_per_minute": 2, "tokens_per_minute": 1_000, "concurrent": 2}
    judge, book = _judge(Limits(account=account)), _book(10**6)
    windows = [_decide(judge, book, number).windows for number in (1, 2)]
    assert [[(one.name, one.remaining) for one in found] for found in windows] == [
        [("account-requests", 1), ("account-tokens", 850)],
        [("account-requests", 0), ("account-tokens", 700)],
    ]
    refused = _decide(judge, book, 3)
    assert refused.refusal is not None
    assert (refused.refusal.status, refused.refusal.retry_after_s) == (429, 60)
    assert refused.refusal.metadata["limit"] == "account-requests"
    for number in (1, 2):
        _ends(book, number)
    late = NOW_MS + MINUTE_MS
    assert _decide(judge, book, 4, accepted_at_ms=late, now_ms=late).refusal is None


def test_a_price_that_changes_in_flight_changes_nothing_for_who_was_let_in() -> None:
    dear = PRICE.model_copy(update={"tiers": [Rates(input=20_000_000, output=80_000_000)]})
    judge, book = _judge(), _book(6_600)
    cheap = _decide(judge, book, 1)
    assert cheap.held is not None
    assert cheap.held.microdollars == 600
    after = _decide(judge, book, 2, price=dear)
    assert after.held is not None
    assert after.held.microdollars == 6_000
    assert _decide(judge, book, 3).refusal is not None
    usage = attempt_ended(
        route(), Ending(Outcome.COMPLETED, tokens=TokenUsage(input_tokens=100, output_tokens=50)), NOW_MS
    ).usage
    assert cost_of(usage, PRICE).microdollars == 600, "by the price of the version that it names"
    used = amounts_used(usage, 600)
    assert [used[name] for name in ("requests", "tokens", "usd")] == [1, 150, 600]


def test_of_limits_for_the_same_thing_the_lowest_holds_and_a_named_one_goes_before_each() -> None:
    own = LimitsSet(
        owner="org:o",
        version=1,
        limits=[
            Limit(scope=Scope.ALL, meters={"usd_per_month": 900}),
            Limit(scope=Scope.MEMBER, meters={"requests_per_day": 5, "usd_per_day": 80}),
            Limit(scope=Scope.MEMBER, name="a", meters={"requests_per_day": 50}),
            Limit(scope=Scope.TEAM, name="core", meters={"tokens_per_week": 7}),
            Limit(scope=Scope.TEAM, name="other", meters={"tokens_per_week": 8}),
            Limit(scope=Scope.KEY, name="k", meters={"requests_per_hour": 3}),
            Limit(scope=Scope.KEY_MODEL, meters={"concurrent": 2}),
        ],
        teams={"core": ["b", "a"], "other": ["b"]},
    )
    personal = LimitsSet(
        owner="acct:a",
        version=1,
        limits=[
            Limit(scope=Scope.KEY, name="k", meters={"requests_per_hour": 2, "later_per_day": 1}),
            Limit(scope=Scope.KEY, name="other", meters={"requests_per_hour": 0}),
            Limit(scope=Scope.ALL, meters={"requests_per_hour": 0}),
        ],
    )
    judge = _judge(
        Limits(organization={"usd_per_month": "0.001"}, member={"requests_per_day": 40}),
        policy_=policy(member_daily_limit_microdollars=70),
        own=own,
        personal=personal,
    )
    found = judge.bounds(Book("org:o"), Counts("org:o", "a", "k", "m"))
    assert {one.key: one.most for one in found} == {
        ("organization", "usd_per_month"): 900,
        ("member a", "requests_per_day"): 40,
        ("member a", "usd_per_day"): 70,
        ("team core", "tokens_per_week"): 7,
        ("key k", "requests_per_hour"): 2,
        ("key-model k/m", "concurrent"): 2,
        ("credit", "balance"): 0,
    }


def test_a_tag_and_a_customer_are_limited_by_name_and_counted_through_a_restart() -> None:
    own = LimitsSet(
        owner="acct:a",
        version=1,
        limits=[
            Limit(scope=Scope.TAG, name="nightly", meters={"requests_per_day": 1}),
            Limit(scope=Scope.CUSTOMER, name="c 1", meters={"tokens_per_day": 7}),
        ],
    )
    views = Views({"acct:a": own}, {})
    found = bounds_of(Counts("acct:a", "a", "k", "m", ["x", "nightly"], "c 1"), Rules(Limits(), Billing()), views, 0)
    assert {one.key: one.most for one in found} == {
        ("tag nightly", "requests_per_day"): 1,
        ("customer c 1", "tokens_per_day"): 7,
        ("credit", "balance"): 0,
    }
    one = asked(accepted(1, labels=Labels(tags=["nightly"], customer="c 1")), [PRICE], byok=False)
    assert one and counts_of(Held.model_validate_json(one.held.model_dump_json())) == Counts(
        one.held.owner, one.held.account_id, one.held.key, one.held.model, ["nightly"], "c 1"
    )


def test_what_others_hold_is_waited_for_and_what_is_used_is_not() -> None:
    account = {"requests_per_day": 2, "tokens_per_day": 200, "concurrent": 1}
    for meter, waits in (("requests_per_day", False), ("tokens_per_day", True), ("concurrent", True)):
        judge, book = _judge(Limits(account={meter: account[meter]})), _book(10**6)
        for number in (1, 2):
            _decide(judge, book, number)
        request = accepted(3, input_tokens_most=100, output_tokens_most=50)
        one = asked(request, [PRICE], byok=False)
        assert one is not None
        found = judge.decide(book, one, NOW_MS, last=False)
        assert isinstance(found, Lacking) == waits, meter
        if isinstance(found, Lacking):
            assert found.lacks == {("account", meter)}
            _ends(book, 1)
            assert isinstance(judge.decide(book, one, NOW_MS, last=False), QuotaReserved)


def test_a_member_who_moved_is_counted_where_the_request_was_made() -> None:
    books = {name: _book(10_000, f"org:{name}") for name in "op"}
    rules = policy(member_daily_limit_microdollars=700)
    judge = Judge(lambda: Rules(Limits(), Billing()), Views({}, {"o": rules, "p": rules}))
    for number, (name, book) in enumerate(books.items()):
        decided = _decide(judge, book, number, caller=MEMBER.model_copy(update={"organization_id": name}))
        assert decided.held is not None
        assert decided.held.owner == f"org:{name}"
    of_b = Caller(account_id="b", organization_id="p")
    assert _decide(judge, books["o"], 3, caller=MEMBER).refusal is not None
    assert _decide(judge, books["p"], 4, caller=of_b).refusal is None


def test_all_bounds_of_nobody_s_limits_are_credit() -> None:
    (credit,) = bounds_of(Counts("acct:a", "a", "k", "m"), Rules(Limits(), Billing()), Views({}, {}), 5)
    assert (credit.key, credit.most) == (("credit", "balance"), 5)
