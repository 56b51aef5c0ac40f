"""What one owner's requests have used and hold, of everything that is limited. Pure: time is an argument, and every
fact may come again, or late.

A request is let in by all of its bounds or counted in none. It holds the most that it can use from its admission until
it has ended. What of that the ledger counts, money of a balance and of a member's day, stays held at what it did cost
until a charge shows that the ledger has it: so the two are never both missing, whichever comes first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from contracts.limits import Counted, MeterSaved
from libs.bus.recent import RecentIds
from libs.limits.catalog import BALANCE, CONCURRENT, METERS, Amounts, Meter, Window
from services.rate_limit.core.counters import Calendar, Counter, Credit, Owing, Posted, Taken, counter_of

CREDIT = "credit"
"""The scope of the balance."""
MEMBER_DAY = "usd_per_day"
_NOTHING = -1

Key = tuple[str, str]
"""A scope and a meter, both by name."""


@dataclass(frozen=True, slots=True)
class Bound:
    """One limit that a request must fit into."""

    scope: str
    """Its kind and, after a space, its name: ``team core``."""
    meter: Meter
    most: int

    @property
    def key(self) -> Key:
        """Of its counter."""
        return self.scope, self.meter.name


@dataclass(frozen=True, slots=True)
class Short:
    """A limit that a request does not fit into."""

    bound: Bound
    needed: int
    left: int
    """Neither used nor held."""
    held: int
    """By requests in flight, which may give some of it back."""
    reset_ms: int
    """Until as much as it needs may be there."""

    @property
    def waits(self) -> bool:
        """Others hold what it lacks."""
        returns = self.bound.meter.quantity.returns or self.bound.meter.name == CONCURRENT
        return returns and self.needed <= self.left + self.held


@dataclass(frozen=True, slots=True)
class Standing:
    """A limit and where it stands."""

    bound: Bound
    left: int
    reset_ms: int


@dataclass(slots=True)
class _Hold:
    """What one request takes from one counter."""

    key: Key
    counter: Counter
    quantity: str
    taken: Taken


@dataclass(slots=True)
class _Reservation:
    """What one request takes from all."""

    holds: list[_Hold]
    expires_at_ms: int

    def release(self, *, charged: bool = False) -> None:
        """Gives back what is held, as if nothing had been used.

        Args:
            charged: only what the ledger counts.
        """
        for hold in self.holds:
            if isinstance(hold.counter, Owing) or not charged:
                hold.counter.settle(hold.taken, 0)
        self.holds = [hold for hold in self.holds if charged and not isinstance(hold.counter, Owing)]


class Book:
    """One owner's counters, and the requests that hold something in them."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._credit = Credit()
        self._counters: dict[Key, Counter] = {(CREDIT, BALANCE.name): self._credit}
        self._running: dict[str, _Reservation] = {}
        self._ended: dict[str, _Reservation] = {}
        """Until their charge comes."""
        self._over = RecentIds()
        """Requests whose usage was counted, for as long as it may come again."""
        self._charged = RecentIds()
        """Requests that were charged, for as long as their usage may still come, again or for the first time."""
        self._applied: dict[str, int] = {}
        """By scope: the offset of the last usage record that its changelog counts."""

    # Questions.

    @property
    def balance(self) -> int:
        """The owner's credit, as far as the ledger has published."""
        return self._credit.balance

    @property
    def running(self) -> int:
        """Requests that have not ended."""
        return len(self._running)

    @property
    def held(self) -> int:
        """Microdollars of credit that are held, or owed and not charged yet."""
        return self._credit.used(0)

    @property
    def idle(self) -> bool:
        """Nothing is held, counts, or may come again; a balance may be known."""
        return len(self._counters) == 1 and not (self._running or self._ended or self._over or self._charged)

    def used(self, bound: Bound, at_ms: int) -> int:
        """What counts against a bound, held amounts included."""
        counter = self._counters.get(bound.key)
        return counter.used(at_ms) if counter else 0

    def shorts(self, bounds: Sequence[Bound], amounts: Amounts, at_ms: int) -> list[Short]:
        """The bounds that a request does not fit into; empty if it fits into all. Nothing is held by asking."""
        found: list[Short] = []
        for bound in bounds:
            needed = amounts[bound.meter.quantity.name]
            counter = self._counters.get(bound.key) or counter_of(bound.meter)
            left = bound.most - counter.used(at_ms)
            if needed > left and needed:
                wait_ms = counter.wait_ms(at_ms, needed - left)
                found.append(Short(bound, needed, left, counter.returns(at_ms), wait_ms))
        return found

    def standing(self, bounds: Sequence[Bound], at_ms: int) -> list[Standing]:
        """Where all bounds stand."""
        counters = [(bound, self._counters.get(bound.key) or counter_of(bound.meter)) for bound in bounds]
        return [
            Standing(bound, bound.most - counter.used(at_ms), counter.reset_ms(at_ms)) for bound, counter in counters
        ]

    def holds(self, request_id: str) -> bool:
        """True while a request holds anything, or counts as over."""
        return any(request_id in known for known in (self._running, self._ended, self._over))

    def unposted(self, request_id: str) -> bool:
        """True from a request's end until its charge, where it has a cost."""
        return request_id in self._ended

    # What becomes of requests.

    def hold(
        self, request_id: str, bounds: Sequence[Bound], amounts: Amounts, *, at_ms: int, expires_at_ms: int
    ) -> None:
        """Holds the most that a request can use. The same again changes nothing."""
        if self.holds(request_id) or request_id in self._charged:
            return
        holds = [self._take(bound, at_ms, amounts[bound.meter.quantity.name]) for bound in bounds]
        self._running[request_id] = _Reservation([hold for hold in holds if hold.taken.amount], expires_at_ms)

    def ended(
        self,
        request_id: str,
        bounds: Sequence[Bound],
        amounts: Amounts,
        *,
        at_ms: int,
        now_ms: int,
        offset: int,
        refused: bool = False,
    ) -> set[str]:
        """A request has ended, and used so much. The same again changes nothing.

        Args:
            bounds: in which it counts where nothing is held for it: its admission is long ago, or was forgotten.
            offset: of its usage record.
            refused: it was not let in, and counts only if something is held for it.

        Returns:
            The scopes that have used something which no other record counts: to be saved.
        """
        if request_id in self._over or request_id in self._ended:
            return set()
        reservation = self._running.pop(request_id, None)
        if reservation is None and refused:
            return set()
        self._over.add(request_id, now_ms)
        if reservation:
            holds = reservation.holds
        else:
            holds = [self._take(bound, at_ms, 0) for bound in bounds if bound.meter.window is not Window.MINUTE]
        unposted: list[_Hold] = []
        changed: set[str] = set()
        for hold in holds:
            counter, amount = hold.counter, amounts[hold.quantity]
            if isinstance(counter, Owing):
                if amount and request_id not in self._charged:
                    counter.owe(hold.taken, amount)
                    unposted.append(hold)
                else:
                    counter.settle(hold.taken, 0)
            elif counter.saved:
                new = offset > self._applied.get(hold.key[0], _NOTHING)
                counter.settle(hold.taken, amount if new else 0)
                if new:
                    changed.add(hold.key[0])
            else:
                counter.settle(hold.taken, amount)
        self._applied |= dict.fromkeys(changed, offset)
        if unposted:
            self._ended[request_id] = _Reservation(unposted, 0)
        return changed

    def charged(self, request_id: str, now_ms: int) -> None:
        """The ledger has the cost of a request; give the balance and what was spent before this."""
        self._charged.add(request_id, now_ms)
        for reservation in (self._ended.pop(request_id, None), self._running.get(request_id)):
            if reservation:
                reservation.release(charged=True)

    def expire(self, now_ms: int) -> list[str]:
        """Releases requests that have not ended long after their deadline; returns them. The oldest come first."""
        gone = []
        for request_id, reservation in self._running.items():
            if reservation.expires_at_ms > now_ms:
                break
            gone.append(request_id)
        for request_id in gone:
            self._running.pop(request_id).release()
        return gone

    # What others know.

    def balance_is(self, microdollars: int, version: int) -> None:
        """The ledger's balance; an older one than is known is ignored."""
        self._credit.balance_is(microdollars, version)

    def spent_is(self, account_id: str, day: date, microdollars: int) -> None:
        """What a member has spent on a day, in all; smaller sums are older and ignored."""
        counter = self._counter((f"member {account_id}", MEMBER_DAY), METERS[MEMBER_DAY])
        if isinstance(counter, Posted):
            counter.posted(int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000), microdollars)

    def saved(self, scope: str) -> MeterSaved:
        """What a scope has used, for the changelog."""
        counted = [
            Counted(meter=meter, start_ms=start_ms, used=used)
            for (of, meter), counter in self._counters.items()
            if of == scope and isinstance(counter, Calendar) and counter.saved
            for start_ms, used in counter.settled.items()
        ]
        return MeterSaved(
            owner=self._owner, scope=scope, applied_offset=self._applied.get(scope, _NOTHING), counted=counted
        )

    def restore(self, saved: MeterSaved) -> None:
        """The inverse of `saved`; an older state than is known is ignored."""
        if saved.applied_offset <= self._applied.get(saved.scope, _NOTHING):
            return
        self._applied[saved.scope] = saved.applied_offset
        for counted in saved.counted:
            meter = METERS.get(counted.meter)
            counter = self._counter((saved.scope, counted.meter), meter) if meter else None
            if isinstance(counter, Calendar) and counter.saved:
                counter.settled[counted.start_ms] = counted.used

    def forget(self, now_ms: int, keep_ms: int) -> None:
        """Drops what does not count any more, and requests of which nothing can come after so long."""
        for recent in (self._over, self._charged):
            recent.forget(now_ms - keep_ms - 1)
        for key, counter in list(self._counters.items()):
            counter.forget(now_ms, keep_ms)
            if counter.idle and counter is not self._credit:
                del self._counters[key]

    def _take(self, bound: Bound, at_ms: int, amount: int) -> _Hold:
        counter = self._counter(bound.key, bound.meter)
        return _Hold(bound.key, counter, bound.meter.quantity.name, counter.take(at_ms, amount))

    def _counter(self, key: Key, meter: Meter) -> Counter:
        counter = self._counters.get(key)
        if counter is None:
            scope, name = key
            posted = self._owner.startswith("org:") and scope.startswith("member ") and name == MEMBER_DAY
            counter = self._counters[key] = counter_of(meter, posted=posted)
        return counter
