"""Budgets, rate limits, and the verdict made of both: never too much, whatever is told in whatever order."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from contracts.credit import MemberSpent
from contracts.prices import Rates
from contracts.replies import Outcome
from contracts.requests import Caller
from contracts.usage import TokenUsage
from libs.config.gateway import Billing, Limits, RateLimits
from libs.pricing.charging import cost_of
from services.rate_limit.core.balances import Balances
from services.rate_limit.core.budget import Budget, day_of
from services.rate_limit.core.spending import ORPHAN_AFTER_MS, Owner, Rules, decide
from services.rate_limit.core.throttle import MINUTE_MS, Throttle
from services.relay.core.ending import Ending, attempt_ended
from tests.unit.records import NOW_MS, PRICE, accepted, policy, request_id, route

DAY_MS = 86_400_000
MIDNIGHT_MS = NOW_MS - NOW_MS % DAY_MS + DAY_MS
RULES = Rules(Limits(), Billing())


class Ledger(RuleBasedStateMachine):
    """A budget beside a plain ledger whose news come late, again and out of order; what must never happen is checked
    on the ledger, not on the budget's own numbers.
    """

    def __init__(self) -> None:
        super().__init__()
        self.budget = Budget()
        self.now = MIDNIGHT_MS - 60_000
        self.credit = 0
        self.version = 0
        self.spent: dict[tuple[str, date], int] = {}
        self.running: dict[str, tuple[str, int, int]] = {}
        self.usage: list[tuple[str, str, int, int]] = []
        self.entered: set[str] = set()
        self.news: list[tuple[str, int, int, str, date, int]] = []
        self.count = 0

    @rule(seconds=st.integers(0, 40))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * 1_000

    @rule(amount=st.integers(1, 200))
    def top_up(self, amount: int) -> None:
        self.credit += amount
        self.version += 1
        self.budget.balance_is(self.credit, self.version)

    @rule(most=st.integers(0, 80), member=st.sampled_from("xy"), under_way_s=st.integers(0, 90))
    def ask(self, most: int, member: str, under_way_s: int) -> None:
        at_ms = self.now - under_way_s * 1_000
        short = self.budget.shortfall(most, account_id=member, at_ms=at_ms, prepaid=True, daily_limit=150)
        if short is None:
            self.count += 1
            name = str(self.count)
            self.budget.hold(name, most, account_id=member, at_ms=at_ms, expires_at_ms=self.now + 10**9)
            self.running[name] = (member, most, at_ms)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.running)))
        member, most, at_ms = self.running.pop(name)
        self.usage.append((name, member, data.draw(st.integers(0, most)), at_ms))

    @precondition(lambda self: self.usage)
    @rule(data=st.data())
    def usage_is_told(self, data: st.DataObject) -> None:
        name, member, cost, at_ms = data.draw(st.sampled_from(self.usage))
        self.budget.ended(name, cost, account_id=member, at_ms=at_ms)

    @precondition(lambda self: any(one[0] not in self.entered for one in self.usage))
    @rule()
    def metering_enters(self) -> None:
        name, member, cost, at_ms = next(one for one in self.usage if one[0] not in self.entered)
        self.entered.add(name)
        if cost:
            self.credit -= cost
            self.version += 1
            key = (member, day_of(at_ms))
            self.spent[key] = self.spent.get(key, 0) + cost
            self.news.append((name, self.credit, self.version, *key, self.spent[key]))

    @precondition(lambda self: self.news)
    @rule(data=st.data())
    def a_charge_is_told(self, data: st.DataObject) -> None:
        name, balance, version, member, day, spent = data.draw(st.sampled_from(self.news))
        self.budget.balance_is(balance, version)
        self.budget.spent_is(member, day, spent)
        self.budget.charged(name, self.now)

    @invariant()
    def all_that_was_let_in_is_covered(self) -> None:
        due = sum(most for _, most, _ in self.running.values())
        due += sum(cost for name, _, cost, _ in self.usage if name not in self.entered)
        assert self.credit - due >= 0

    @invariant()
    def no_member_s_day_is_overrun(self) -> None:
        days = dict(self.spent)
        for member, most, at_ms in self.running.values():
            days[member, day_of(at_ms)] = days.get((member, day_of(at_ms)), 0) + most
        for name, member, cost, at_ms in self.usage:
            if name not in self.entered:
                days[member, day_of(at_ms)] = days.get((member, day_of(at_ms)), 0) + cost
        assert max(days.values(), default=0) <= 150

    def teardown(self) -> None:
        """At rest nothing is held, and all that is left can be spent."""
        for name, (member, _, at_ms) in list(self.running.items()):
            self.usage.append((name, member, 0, at_ms))
        self.running.clear()
        while any(one[0] not in self.entered for one in self.usage):
            self.metering_enters()
        for name, member, cost, at_ms in self.usage:
            self.budget.ended(name, cost, account_id=member, at_ms=at_ms)
        for name, balance, version, member, day, spent in self.news:
            self.budget.balance_is(balance, version)
            self.budget.spent_is(member, day, spent)
            self.budget.charged(name, self.now)
        assert (self.budget.held, self.budget.running, self.budget.balance) == (0, 0, self.credit)


TestLedger = Ledger.TestCase


def test_usage_that_is_told_after_its_charge_holds_nothing() -> None:
    budget = Budget()
    budget.hold("r", 5, account_id="a", at_ms=NOW_MS, expires_at_ms=NOW_MS + 1)
    budget.charged("r", NOW_MS)
    budget.ended("r", 3, account_id="a", at_ms=NOW_MS)
    assert (budget.held, budget.idle) == (0, False)
    budget.forget(NOW_MS + 1)
    assert budget.idle


def test_an_orphan_expires_and_what_has_ended_does_not() -> None:
    budget = Budget()
    for name in ("orphan", "ended"):
        budget.hold(name, 5, account_id="a", at_ms=NOW_MS, expires_at_ms=NOW_MS + 1)
    budget.ended("ended", 3, account_id="a", at_ms=NOW_MS)
    assert budget.expire(NOW_MS + 10**12) == ["orphan"]
    assert budget.held == 3


def test_a_daily_limit_begins_anew_at_midnight_utc() -> None:
    budget = Budget(balance=1_000)

    def fits(at_ms: int) -> bool:
        return budget.shortfall(60, account_id="a", at_ms=at_ms, prepaid=True, daily_limit=100) is None

    budget.hold("r", 60, account_id="a", at_ms=MIDNIGHT_MS - 1, expires_at_ms=10**15)
    assert not fits(MIDNIGHT_MS - 1)
    assert fits(MIDNIGHT_MS)
    budget.spent_is("a", day_of(MIDNIGHT_MS), 50)
    assert not fits(MIDNIGHT_MS)
    budget.spent_is("a", day_of(MIDNIGHT_MS - 1), 60)
    assert budget.spent_on("a", day_of(MIDNIGHT_MS)) == 50, "yesterday's news does not replace today's"
    budget.ended("r", 60, account_id="a", at_ms=MIDNIGHT_MS - 1)
    budget.charged("r", MIDNIGHT_MS)
    assert not fits(MIDNIGHT_MS - 1), "a request of before midnight is counted where it belongs, however late it comes"


def test_days_are_forgotten_once_no_request_of_them_can_come() -> None:
    budget, balances = Budget(), Balances()
    for day in (day_of(MIDNIGHT_MS - 1), day_of(MIDNIGHT_MS)):
        balances.apply(MemberSpent(owner="org:o", account_id="a", day=day, spent_microdollars=7))
    balances.give("org:o", budget)
    assert [budget.spent_on("a", day_of(at_ms)) for at_ms in (MIDNIGHT_MS - 1, MIDNIGHT_MS)] == [7, 7]
    budget.forget(MIDNIGHT_MS)
    balances.forget(day_of(MIDNIGHT_MS))
    later = Budget()
    balances.give("org:o", later)
    for one in (budget, later):
        assert [one.spent_on("a", day_of(at_ms)) for at_ms in (MIDNIGHT_MS - 1, MIDNIGHT_MS)] == [0, 7]


moves = st.lists(
    st.tuples(st.integers(0, 25_000), st.integers(1, 60), st.sampled_from("mn"), st.booleans()), min_size=1, max_size=60
)


@given(moves)
def test_no_minute_ever_holds_more_than_the_limits(steps: list[tuple[int, int, str, bool]]) -> None:
    throttle, now, running = Throttle(), NOW_MS, list[tuple[str, int]]()
    limits = {
        "account": RateLimits(requests_per_minute=5, tokens_per_minute=150, concurrent=3),
        "model m": RateLimits(requests_per_minute=3),
        "model n": RateLimits(tokens_per_minute=100),
    }
    counted: list[list[Any]] = []
    for number, (passed, tokens, model, ends) in enumerate(steps):
        now += passed
        scopes = [("account", limits["account"]), (f"model {model}", limits[f"model {model}"])]
        recent = [one for one in counted if one[0] > now - MINUTE_MS]
        of_model = [one for one in recent if one[2] == model]
        fits = (
            len(recent) < 5
            and sum(one[1] for one in recent) + tokens <= 150
            and len(running) < 3
            and (model == "n" or len(of_model) < 3)
            and (model == "m" or sum(one[1] for one in of_model) + tokens <= 100)
        )
        refused = throttle.refuses(scopes, tokens, now)
        assert (refused is None) == fits
        if refused is None:
            throttle.count(str(number), scopes, tokens, now)
            counted.append([now, tokens, model])
            running.append((str(number), len(counted) - 1))
        elif refused.what != "concurrent" and tokens <= refused.limit:
            assert 0 < refused.reset_ms <= MINUTE_MS
        if ends and running:
            name, place = running.pop(0)
            used = counted[place][1] // 2
            throttle.ended(name, used)
            counted[place][1] = used
    for name, _ in running:
        throttle.ended(name, None)
    throttle.forget(now + MINUTE_MS)
    assert throttle.idle


def test_a_wait_is_as_long_as_it_says() -> None:
    throttle, limits = Throttle(), [("account", RateLimits(tokens_per_minute=100))]
    for number, tokens in enumerate((60, 30)):
        throttle.count(str(number), limits, tokens, NOW_MS + number * 1_000)
    refused = throttle.refuses(limits, 70, NOW_MS + 2_000)
    assert refused is not None
    assert refused.reset_ms == MINUTE_MS - 2_000
    assert throttle.refuses(limits, 70, NOW_MS + 2_000 + refused.reset_ms - 1) is not None
    assert throttle.refuses(limits, 70, NOW_MS + 2_000 + refused.reset_ms) is None


def _owner(balance: int) -> Owner:
    owner = Owner()
    owner.budget.balance_is(balance, 1)
    return owner


def _request(number: int = 1, **changes: Any) -> Any:
    return accepted(number, **({"input_tokens_most": 100, "output_tokens_most": 50} | changes))


def test_without_credit_the_answer_is_402_with_all_that_one_needs_to_know() -> None:
    rules = Rules(Limits(), Billing(buy_credits_url="https://example.com/buy"))
    decided = decide(_owner(599), _request(), rules, None, byok=False, now_ms=NOW_MS)
    assert decided.refusal is not None
    assert decided.held is None
    assert decided.refusal.status == 402
    assert "0.000600" in decided.refusal.message
    assert "0.000599" in decided.refusal.message
    assert decided.refusal.metadata == {
        "leftMicrodollars": 599,
        "neededMicrodollars": 600,
        "heldMicrodollars": 0,
        "buyCreditsUrl": "https://example.com/buy",
    }
    assert decide(_owner(600), _request(), rules, None, byok=False, now_ms=NOW_MS).held is not None


def test_the_same_request_is_held_once_and_the_next_sees_it() -> None:
    owner = _owner(1_199)
    assert decide(owner, _request(1), RULES, None, byok=False, now_ms=NOW_MS).held is not None
    refused = decide(owner, _request(2), RULES, None, byok=False, now_ms=NOW_MS).refusal
    assert refused is not None
    assert "0.000600 USD are held" in refused.message
    late = NOW_MS + 600_000 + ORPHAN_AFTER_MS
    assert decide(owner, _request(3), RULES, None, byok=False, now_ms=late).held is not None


def test_own_keys_free_prices_and_postpaid_need_no_credit() -> None:
    own = decide(_owner(0), _request(), RULES, None, byok=True, now_ms=NOW_MS)
    assert own.byok
    assert own.held is not None
    assert own.held.microdollars == 0
    free = _request(prices={"stub": PRICE.model_copy(update={"tiers": [Rates(input=0, output=0)]})})
    assert decide(_owner(0), free, RULES, None, byok=False, now_ms=NOW_MS).refusal is None
    postpaid = Rules(Limits(), Billing(prepaid=False))
    assert decide(_owner(0), _request(), postpaid, None, byok=False, now_ms=NOW_MS).refusal is None


def test_a_model_without_a_price_is_not_given_away() -> None:
    refusal = decide(_owner(10**9), _request(prices={}), RULES, None, byok=False, now_ms=NOW_MS).refusal
    assert refusal is not None
    assert refusal.status == 503


@pytest.mark.parametrize(("own_limit", "fits"), [({}, False), ({"a": 600}, True), ({"b": 600}, False)])
def test_a_member_s_own_daily_limit_goes_before_the_organization_s(own_limit: dict[str, int], fits: bool) -> None:
    caller = Caller(account_id="a", organization_id="o", role="member")
    rules = policy(member_daily_limit_microdollars=599, member_daily_limits=own_limit)
    decided = decide(_owner(10**6), _request(caller=caller), RULES, rules, byok=False, now_ms=NOW_MS)
    assert (decided.refusal is None) == fits
    if decided.refusal:
        assert decided.refusal.status == 402
        assert "daily limit" in decided.refusal.message


def test_rate_limits_say_where_they_stand_and_when_to_come_again() -> None:
    rules = Rules(Limits(account=RateLimits(requests_per_minute=2, tokens_per_minute=1_000, concurrent=2)), Billing())
    owner = _owner(10**6)
    windows = [decide(owner, _request(n), rules, None, byok=False, now_ms=NOW_MS).windows for n in (1, 2)]
    assert [[(one.name, one.remaining) for one in found] for found in windows] == [
        [("account-requests", 1), ("account-tokens", 850)],
        [("account-requests", 0), ("account-tokens", 700)],
    ]
    refused = decide(owner, _request(3), rules, None, byok=False, now_ms=NOW_MS)
    assert refused.refusal is not None
    assert (refused.refusal.status, refused.refusal.retry_after_s) == (429, 60)
    for number in (1, 2):
        owner.throttle.ended(request_id(number), 10)
    late = NOW_MS + MINUTE_MS
    assert decide(owner, _request(4, accepted_at_ms=late), rules, None, byok=False, now_ms=late).refusal is None


def test_a_price_that_changes_in_flight_changes_nothing_for_who_was_let_in() -> None:
    owner, dear = _owner(10_000), PRICE.model_copy(update={"tiers": [Rates(input=20_000_000, output=80_000_000)]})
    cheap = decide(owner, _request(1), RULES, None, byok=False, now_ms=NOW_MS)
    assert cheap.held is not None
    assert cheap.held.microdollars == 600
    after = decide(owner, _request(2, prices={"stub": dear}), RULES, None, byok=False, now_ms=NOW_MS)
    assert after.held is not None
    assert (after.held.microdollars, owner.budget.held) == (6_000, 6_600)
    usage = attempt_ended(
        route(), Ending(Outcome.COMPLETED, tokens=TokenUsage(input_tokens=100, output_tokens=50)), NOW_MS
    ).usage
    assert cost_of(usage) == (600, PRICE.version), "by the price that it came with"


def test_a_member_who_moved_is_counted_where_the_request_was_made() -> None:
    before, after = _owner(10_000), _owner(10_000)
    rules = policy(member_daily_limit_microdollars=700)
    for owner, organization in ((before, "o"), (after, "p")):
        caller = Caller(account_id="a", organization_id=organization, role="member")
        decided = decide(owner, _request(1, caller=caller), RULES, rules, byok=False, now_ms=NOW_MS)
        assert decided.held is not None
        assert decided.held.owner == f"org:{organization}"
    before.budget.ended(request_id(1), 600, account_id="a", at_ms=NOW_MS)
    assert (before.budget.held, after.budget.held) == (600, 600)
    assert before.budget.shortfall(101, account_id="a", at_ms=NOW_MS, prepaid=True, daily_limit=700) is not None
    assert after.budget.shortfall(101, account_id="b", at_ms=NOW_MS, prepaid=True, daily_limit=700) is None
