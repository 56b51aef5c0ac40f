"""What an owner may still spend. Pure: time is an argument, and every fact may come again, or late.

What is left is the ledger's balance less what is held. A request holds the most that it can cost, from its admission
until it has ended; from then on it holds what it did cost, until a charge shows that the balance has it. So the two are
never both missing, whichever comes first and however long the ledger takes.
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from libs.bus.recent import RecentIds


@dataclass(slots=True)
class Holding:
    """What one request holds."""

    microdollars: int
    account_id: str | None
    day: date
    expires_at_ms: int | None
    """None once it has ended: only its charge releases it."""


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Why a request does not fit."""

    needed: int
    left: int
    """Microdollars that are neither spent nor held."""
    held: int
    """By requests in flight, which may give some of it back."""
    daily: bool = False
    """It is the member's daily limit that it does not fit into."""


def day_of(at_ms: int) -> date:
    """The UTC day of a moment."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).date()


@dataclass(slots=True)
class Budget:
    """One owner's credit, and what each of its members has spent of it by day."""

    balance: int = 0
    version: int = -1
    spent: dict[tuple[str, date], int] = field(default_factory=dict)
    """By member and day: requests of yesterday may still come, and settle, when today's have begun."""
    held: int = 0
    _running: dict[str, Holding] = field(default_factory=dict)
    _ended: dict[str, Holding] = field(default_factory=dict)
    _held_by: dict[tuple[str | None, date], int] = field(default_factory=dict)
    _charged: RecentIds = field(default_factory=RecentIds)
    """Requests that were charged, for as long as their usage may still come, again or for the first time."""

    @property
    def running(self) -> int:
        """Requests that have not ended."""
        return len(self._running)

    @property
    def idle(self) -> bool:
        """Nothing is held, and nothing is remembered that may come again."""
        return not self._running and not self._ended and not self._charged

    def holds(self, request_id: str) -> bool:
        """True while a request holds anything."""
        return request_id in self._running or request_id in self._ended

    def shortfall(
        self, microdollars: int, *, account_id: str | None, at_ms: int, prepaid: bool, daily_limit: int | None
    ) -> Shortfall | None:
        """None if a request of at most so much fits, else why not. Nothing is held by asking.

        Args:
            prepaid: the balance must cover it.
            daily_limit: of this member; None without one.
        """
        if not microdollars:
            return None
        if daily_limit is not None:
            day = day_of(at_ms)
            held = self._held_by.get((account_id, day), 0)
            left = daily_limit - self.spent_on(account_id, day) - held
            if microdollars > left:
                return Shortfall(microdollars, left, held, daily=True)
        left = self.balance - self.held
        return Shortfall(microdollars, left, self.held) if prepaid and microdollars > left else None

    def hold(
        self, request_id: str, microdollars: int, *, account_id: str | None, at_ms: int, expires_at_ms: int
    ) -> None:
        """Holds the most that a request can cost. The same again changes nothing."""
        if not self.holds(request_id) and request_id not in self._charged:
            self._running[request_id] = Holding(microdollars, account_id, day_of(at_ms), expires_at_ms)
            self._move(self._running[request_id], microdollars)

    def ended(self, request_id: str, microdollars: int, *, account_id: str | None, at_ms: int) -> None:
        """A request has ended, and cost so much: that stays held until `charged`; 0 is released at once."""
        holding = self._running.pop(request_id, None)
        if holding:
            self._move(holding, -holding.microdollars)
        if microdollars and request_id not in self._ended and request_id not in self._charged:
            after = Holding(microdollars, account_id, day_of(at_ms), None)
            self._ended[request_id] = after
            self._move(after, microdollars)

    def unposted(self, request_id: str) -> bool:
        """True from a request's end until its charge."""
        return request_id in self._ended

    def charged(self, request_id: str, now_ms: int) -> None:
        """The balance has the cost of a request; give the balance and what was spent before this."""
        self._charged.add(request_id, now_ms)
        self._release(request_id)

    def _release(self, request_id: str) -> None:
        for holdings in (self._running, self._ended):
            holding = holdings.pop(request_id, None)
            if holding:
                self._move(holding, -holding.microdollars)

    def balance_is(self, microdollars: int, version: int) -> None:
        """The ledger's balance; an older one than is known is ignored."""
        if version > self.version:
            self.balance, self.version = microdollars, version

    def spent_is(self, account_id: str, day: date, microdollars: int) -> None:
        """What a member has spent on a day, in all; smaller sums are older and ignored."""
        self.spent[account_id, day] = max(microdollars, self.spent.get((account_id, day), 0))

    def spent_on(self, account_id: str | None, day: date) -> int:
        """What a member has spent on a day, as far as the ledger has published."""
        return self.spent.get((account_id or "", day), 0)

    def expire(self, now_ms: int) -> list[str]:
        """Releases requests that have not ended long after their deadline; returns them. The oldest come first."""
        gone = []
        for request_id, holding in self._running.items():
            if holding.expires_at_ms is None or holding.expires_at_ms > now_ms:
                break
            gone.append(request_id)
        for request_id in gone:
            self._release(request_id)
        return gone

    def forget(self, before_ms: int) -> None:
        """Forgets charges that came before then, and earlier days: nothing more will come of their requests."""
        self._charged.forget(before_ms - 1)
        before = day_of(before_ms)
        for member_day in [one for one in self.spent if one[1] < before]:
            del self.spent[member_day]

    def _move(self, holding: Holding, microdollars: int) -> None:
        self.held += microdollars
        key = (holding.account_id, holding.day)
        left = self._held_by.get(key, 0) + microdollars
        if left:
            self._held_by[key] = left
        else:
            self._held_by.pop(key, None)
