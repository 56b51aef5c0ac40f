"""An owner's book beside a plain model: no limit is ever overrun, whatever facts come in whatever order, however often,
and whenever a successor starts from what the log has."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from contracts.limits import MeterSaved
from libs.limits.catalog import BALANCE, METERS, Amounts
from services.rate_limit.core.balances import day_of
from services.rate_limit.core.book import CREDIT, Book, Bound
from tests.unit.records import NOW_MS

DAY_MS = 86_400_000
MIDNIGHT_MS = NOW_MS - NOW_MS % DAY_MS + DAY_MS
OWNER = "org:o"
KEEP_MS = 10**9
LIMITS = {
    ("organization", "requests_per_hour"): 9,
    ("organization", "concurrent"): 5,
    ("model m", "tokens_per_day"): 400,
    ("team t", "usd_per_week"): 500,
    ("key k", "usd_per_month"): 600,
}
MEMBER_DAY_MOST = 150
_FOREVER = 10**15


@dataclass
class Asked:
    """A request as the model knows it."""

    member: str
    at_ms: int
    most: Amounts
    used: Amounts | None = None
    """None while it runs."""

    @property
    def counts(self) -> Amounts:
        return self.most if self.used is None else self.used


def bounds(member: str, balance: int) -> list[Bound]:
    found = [Bound(scope, METERS[meter], most) for (scope, meter), most in LIMITS.items()]
    return [*found, Bound(f"member {member}", METERS["usd_per_day"], MEMBER_DAY_MOST), Bound(CREDIT, BALANCE, balance)]


class Accounts(RuleBasedStateMachine):
    """What must never happen is checked on the model, not on the book's own numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.book = Book(OWNER)
        self.now = MIDNIGHT_MS - 90 * 60_000
        self.credit = 0
        self.version = 0
        self.asked: dict[str, Asked] = {}
        self.usage: list[str] = []
        """The log of what has ended; a record's offset is its place."""
        self.begun = 0
        """The offset of the first record that this book has read."""
        self.committed = 0
        self.unsaved: set[str] = set()
        self.changelog: dict[str, MeterSaved] = {}
        self.entered: set[str] = set()
        self.spent: dict[tuple[str, date], int] = {}
        self.charges: list[tuple[str, int, int, str, date, int]] = []

    # What happens.

    @rule(seconds=st.sampled_from((0, 1, 20, 61, 3_600, 86_400)))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * 1_000

    @rule(amount=st.integers(1, 300))
    def top_up(self, amount: int) -> None:
        self.credit += amount
        self.version += 1
        self.book.balance_is(self.credit, self.version)

    @rule(
        tokens=st.integers(0, 90), usd=st.integers(0, 80), member=st.sampled_from("xy"), under_way_s=st.integers(0, 90)
    )
    def ask(self, tokens: int, usd: int, member: str, under_way_s: int) -> None:
        at_ms, most = self.now - under_way_s * 1_000, {"requests": 1, "tokens": tokens, "usd": usd}
        chosen = bounds(member, self.book.balance)
        shorts = self.book.shorts(chosen, most, at_ms)
        if not shorts:
            name = str(len(self.asked))
            self.asked[name] = Asked(member, at_ms, most)
            self.book.hold(name, chosen, most, at_ms=at_ms, expires_at_ms=_FOREVER)
        assert all(short.needed > short.left for short in shorts)

    @precondition(lambda self: self._running())
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self._running()))
        one = self.asked[name]
        one.used = {"requests": 1} | {
            quantity: data.draw(st.integers(0, one.most[quantity])) for quantity in ("tokens", "usd")
        }
        self.usage += [name] * data.draw(st.integers(1, 2))

    @rule()
    def usage_is_read(self) -> None:
        """To the end, as a batch; saved afterwards, or not."""
        for offset in range(self.committed, len(self.usage)):
            self._tell(offset)

    @rule()
    def what_was_used_is_saved(self) -> None:
        self.usage_is_read()
        for scope in self.unsaved:
            self.changelog[scope] = self.book.saved(scope)
        self.unsaved.clear()
        self.committed = len(self.usage)

    @precondition(lambda self: self.begun < self.committed)
    @rule(data=st.data())
    def usage_comes_again(self, data: st.DataObject) -> None:
        self._tell(data.draw(st.integers(self.begun, self.committed - 1)))

    @rule()
    def metering_enters(self) -> None:
        name = next((one for one in self.usage if one not in self.entered), None)
        if name is None:
            return
        self.entered.add(name)
        one = self.asked[name]
        if one.counts["usd"]:
            self.credit -= one.counts["usd"]
            self.version += 1
            key = (one.member, day_of(one.at_ms))
            self.spent[key] = self.spent.get(key, 0) + one.counts["usd"]
            self.charges.append((name, self.credit, self.version, *key, self.spent[key]))

    @precondition(lambda self: self.charges)
    @rule(data=st.data())
    def a_charge_is_told(self, data: st.DataObject) -> None:
        self._charge(*data.draw(st.sampled_from(self.charges)))

    @rule(everything=st.booleans())
    def a_successor_starts(self, everything: bool) -> None:
        """After a kill: from the states, and from verdicts and usage that are recent, or that nothing else counts."""
        unposted = [offset for offset, name in enumerate(self.usage) if name not in self.entered]
        begin = self.begun = 0 if everything else min([self.committed, *unposted[:1]])
        recent = set(self.usage[begin:]) | set(self._running())
        self.book, self.unsaved = Book(OWNER), set()
        self.book.balance_is(self.credit, self.version)
        for (member, day), amount in self.spent.items():
            self.book.spent_is(member, day, amount)
        for saved in self.changelog.values():
            self.book.restore(saved)
        for name, one in self.asked.items():
            if name in recent:
                self.book.hold(name, bounds(one.member, 0), one.most, at_ms=one.at_ms, expires_at_ms=_FOREVER)
        for offset in range(begin, len(self.usage)):
            self._tell(offset)
        for charge in self.charges:
            self._charge(*charge)

    @rule()
    def a_minute_is_over(self) -> None:
        self.book.forget(self.now, KEEP_MS)

    # What must hold.

    @invariant()
    def no_limit_is_overrun(self) -> None:
        for (scope, meter), most in LIMITS.items():
            self._check(list(self.asked.values()), meter, most, scope)
        for member in "xy":
            theirs = [one for one in self.asked.values() if one.member == member]
            self._check(theirs, "usd_per_day", MEMBER_DAY_MOST, f"member {member}")

    @invariant()
    def all_that_was_let_in_is_covered(self) -> None:
        due = sum(one.counts["usd"] for name, one in self.asked.items() if name not in self.entered)
        assert self.credit - due >= 0

    def teardown(self) -> None:
        """At rest nothing is held, and exactly what was used counts."""
        for name in self._running():
            self.asked[name].used = {"requests": 1, "tokens": 0, "usd": 0}
            self.usage.append(name)
        self.what_was_used_is_saved()
        while any(one not in self.entered for one in self.usage):
            self.metering_enters()
        for charge in self.charges:
            self._charge(*charge)
        assert (self.book.running, self.book.balance) == (0, self.credit)
        chosen = bounds("x", self.book.balance)
        for bound in chosen:
            window = bound.meter.window
            if window is None:
                continue
            used = sum(
                one.counts[bound.meter.quantity.name]
                for one in self.asked.values()
                if window.start_ms(one.at_ms) == window.start_ms(self.now)
                and (one.member == "x" or not bound.scope.startswith("member"))
            )
            assert self.book.used(bound, self.now) == used, bound
        assert self.book.used(Bound(CREDIT, BALANCE, 0), self.now) == 0

    def _running(self) -> list[str]:
        return [name for name, one in self.asked.items() if one.used is None]

    def _tell(self, offset: int) -> None:
        name = self.usage[offset]
        one = self.asked[name]
        assert one.used is not None
        self.unsaved |= self.book.ended(
            name,
            () if self.book.holds(name) else bounds(one.member, 0),
            one.used,
            at_ms=one.at_ms,
            now_ms=self.now,
            offset=offset,
        )

    def _charge(self, name: str, balance: int, version: int, member: str, day: date, spent: int) -> None:
        self.book.balance_is(balance, version)
        self.book.spent_is(member, day, spent)
        self.book.charged(name, self.now)

    def _check(self, asked: Sequence[Asked], meter: str, most: int, scope: str) -> None:
        quantity, window = METERS[meter].quantity.name, METERS[meter].window
        if window is None:
            assert sum(1 for one in asked if one.used is None) <= most, scope
        else:
            sums: dict[int, int] = {}
            for one in asked:
                sums[window.start_ms(one.at_ms)] = sums.get(window.start_ms(one.at_ms), 0) + one.counts[quantity]
            assert max(sums.values(), default=0) <= most, scope


TestAccounts = Accounts.TestCase


def test_what_is_saved_is_counted_by_a_successor_that_reads_nothing_else() -> None:
    bound, amounts = Bound("team t", METERS["tokens_per_month"], 100), {"requests": 1, "tokens": 60, "usd": 0}
    book, successor = Book(OWNER), Book(OWNER)
    book.hold("1", [bound], amounts, at_ms=NOW_MS, expires_at_ms=_FOREVER)
    assert book.ended("1", (), amounts, at_ms=NOW_MS, now_ms=NOW_MS, offset=7) == {"team t"}
    assert book.ended("1", (), amounts, at_ms=NOW_MS, now_ms=NOW_MS, offset=8) == set()
    successor.restore(book.saved("team t"))
    for offset in (6, 7):
        successor.ended("1", [bound], amounts, at_ms=NOW_MS, now_ms=NOW_MS, offset=offset)
    assert [one.used(bound, NOW_MS) for one in (book, successor)] == [60, 60]
    assert successor.shorts([bound], amounts, NOW_MS)[0].left == 40


def test_an_orphan_expires_and_what_is_owed_does_not() -> None:
    credit = Bound(CREDIT, BALANCE, 100)
    book = Book("acct:a")
    for name in ("orphan", "ended"):
        book.hold(name, [credit], {"usd": 5}, at_ms=NOW_MS, expires_at_ms=NOW_MS + 1)
    book.ended("ended", (), {"usd": 3}, at_ms=NOW_MS, now_ms=NOW_MS, offset=0)
    assert book.expire(NOW_MS + 10**12) == ["orphan"]
    assert book.used(credit, NOW_MS) == 3
    assert book.shorts([credit], {"usd": 98}, NOW_MS)[0].held == 0, "what is owed never comes back"


def test_usage_that_is_told_after_its_charge_holds_nothing() -> None:
    credit = Bound(CREDIT, BALANCE, 100)
    book = Book("acct:a")
    book.hold("r", [credit], {"usd": 5}, at_ms=NOW_MS, expires_at_ms=NOW_MS + 1)
    book.charged("r", NOW_MS)
    book.ended("r", (), {"usd": 3}, at_ms=NOW_MS, now_ms=NOW_MS, offset=0)
    assert (book.used(credit, NOW_MS), book.idle) == (0, False)
    book.forget(NOW_MS + 10, 1)
    assert book.idle
