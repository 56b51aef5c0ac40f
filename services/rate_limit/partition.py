"""What one partition's subjects hold, and what becomes of it with each record."""

from collections.abc import Callable
from dataclasses import dataclass, field

from contracts.charges import ChargePosted
from contracts.credit import BalanceChanged, MemberSpent
from contracts.decisions import QuotaReserved
from contracts.limits import MeterSaved
from contracts.quota import QuotaStateSaved
from contracts.record import Record
from contracts.replies import Outcome
from contracts.requests import RequestAccepted
from contracts.usage import UsageRecorded
from libs.bus.records import Received
from libs.limits.catalog import amounts_used
from services.rate_limit.core.balances import Balances
from services.rate_limit.core.book import Book
from services.rate_limit.core.bounds import Counts
from services.rate_limit.core.given import GivenVerdicts
from services.rate_limit.core.verdicts import Asked, Judge, Lacking
from services.rate_limit.core.waiting import Line, Waiter
from services.rate_limit.core.windows import Limit, Window

Fact = UsageRecorded | ChargePosted | BalanceChanged | MemberSpent


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request that waits, and the record that stays in work until its verdict."""

    asked: Asked
    received: Received[RequestAccepted]
    since_ms: int


@dataclass(slots=True)
class Partition:
    """One partition. It gives no verdicts itself: the requests that it lets in are those of its lines."""

    judge: Judge
    balances: Balances
    free: Callable[[], Limit]
    """Of new windows of free models."""
    cost: Callable[[UsageRecorded], int]
    """What a request costs, in microdollars."""
    windows: dict[str, Window] = field(default_factory=dict)
    """Of free models, by subject."""
    books: dict[str, Book] = field(default_factory=dict)
    """By owner."""
    lines: dict[str, Line[Waiting]] = field(default_factory=dict)
    """Of requests that wait, by owner."""
    given: GivenVerdicts = field(default_factory=GivenVerdicts)
    """On paid requests."""
    on_log: set[str] = field(default_factory=set)
    """Requests that were decided, or have ended, before this process had the partition."""
    unposted: dict[str, Received[Record]] = field(default_factory=dict)
    """Usage whose charge has not come: in work until it does, so that a successor reads it again."""
    unsaved: set[tuple[str, str]] = field(default_factory=set)
    """Owners and scopes whose counters the changelog does not have."""

    def book(self, owner: str) -> Book:
        """An owner's book."""
        book = self.books.get(owner)
        if book is None:
            book = self.books[owner] = Book(owner)
            self.balances.give(owner, book)
        return book

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return sum(map(len, self.lines.values()))

    def window(self, subject: str) -> Window:
        """A subject's free window."""
        window = self.windows.get(subject)
        if window is None:
            window = self.windows[subject] = Window(self.free())
        return window

    def restore_window(self, saved: QuotaStateSaved, now_ms: int) -> None:
        """A free window, as the changelog has it."""
        window = Window(self.free(), saved.applied_offset, saved.admissions)
        self.windows.pop(saved.subject, None)
        if not window.expired(now_ms):
            self.windows[saved.subject] = window

    def restore_meters(self, saved: MeterSaved) -> None:
        """A scope's counters, as the changelog has them."""
        self.book(saved.owner).restore(saved)

    def restore_verdict(self, verdict: QuotaReserved) -> None:
        """What was given by whoever had the partition before."""
        self.on_log.add(verdict.request_id)
        if verdict.held:
            self.judge.take(self.book(verdict.held.owner), verdict.request_id, verdict.held)

    def on_usage(self, usage: UsageRecorded, offset: int, now_ms: int) -> bool:
        """A request has ended. True for usage whose charge has not come yet."""
        if not usage.caller.account_id or usage.free:
            return False
        owner = usage.caller.owner
        book = self.book(owner)
        labels = usage.labels
        counts = Counts(
            owner,
            usage.caller.account_id,
            usage.caller.key_fingerprint,
            usage.model,
            labels.tags if labels else (),
            labels.customer if labels else None,
        )
        known = book.holds(usage.request_id)
        changed = book.ended(
            usage.request_id,
            () if known else self.judge.bounds(book, counts),
            amounts_used(usage, self.cost(usage)),
            at_ms=usage.accepted_at_ms,
            now_ms=now_ms,
            offset=offset,
            refused=usage.outcome is Outcome.REJECTED,
        )
        self.unsaved.update((owner, scope) for scope in changed)
        return book.unposted(usage.request_id)

    def on_charge(self, charge: ChargePosted, now_ms: int) -> Received[Record] | None:
        """The ledger has an entry. Returns the usage that waited for it."""
        for fact in (charge.balance, charge.spent):
            if fact:
                self.on_state(fact)
        if charge.balance:
            self.book(charge.balance.owner).charged(charge.charge_id, now_ms)
        return self.unposted.pop(charge.charge_id, None)

    def on_state(self, state: BalanceChanged | MemberSpent) -> None:
        """The ledger's balance, or what a member has spent."""
        self.balances.apply(state)
        book = self.books.get(state.owner)
        if book and isinstance(state, BalanceChanged):
            book.balance_is(state.balance_microdollars, state.version)
        elif book and isinstance(state, MemberSpent):
            book.spent_is(state.account_id, state.day, state.spent_microdollars)

    def move(self, owner: str, now_ms: int, give: Callable[[Waiting, QuotaReserved], None]) -> None:
        """Lets in those of an owner's line who may, and refuses those who have waited long enough."""
        line = self.lines.get(owner)
        if line is None:
            return
        book = self.book(owner)

        def decide(waiter: Waiter[Waiting], *, last: bool) -> frozenset[tuple[str, str]]:
            one = waiter.item
            waited_ms = max(1, now_ms - one.since_ms)
            found = self.judge.decide(book, one.asked, now_ms, waited_ms=waited_ms, last=last)
            if isinstance(found, Lacking):
                return found.lacks
            give(one, found)
            return frozenset()

        for late in line.move(lambda waiter: decide(waiter, last=False), now_ms):
            decide(late, last=True)
        if not line:
            del self.lines[owner]

    def forget(self, now_ms: int, keep_ms: int) -> list[str]:
        """Drops what does not count any more; returns the subjects whose windows are over."""
        for name, book in list(self.books.items()):
            book.expire(now_ms)
            book.forget(now_ms, keep_ms)
            if book.idle and name not in self.lines:
                del self.books[name]
        over = [subject for subject, window in self.windows.items() if window.expired(now_ms)]
        for subject in over:
            del self.windows[subject]
        return over


class Partitions(dict[int, Partition]):
    """By number; made when they are first asked for."""

    def __init__(self, make: Callable[[], Partition]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, number: int) -> Partition:
        part = self[number] = self._make()
        return part
