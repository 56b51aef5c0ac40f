"""What has been used of one quantity, in one kind of window. Pure: times come in.

A request takes from a counter the most that it can use, and settles with what it did use. Until then that is held: it
counts, and may come back.
"""

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import ClassVar

from libs.limits.catalog import MINUTE_MS, USD, Meter, Window


@dataclass(slots=True)
class Taken:
    """What one request took from one counter."""

    at_ms: int
    amount: int
    held: bool = True
    counts: bool = True
    """False once its window has passed."""


class Counter:
    """A counter without a window: what is held counts, and nothing else. Concurrency is one, of requests."""

    saved: ClassVar[bool] = False
    """What was used is known from no other record, and so kept in a changelog."""

    def __init__(self) -> None:
        self._held = 0

    def used(self, at_ms: int) -> int:
        """What counts at a moment, held amounts included."""
        return self._held

    def returns(self, at_ms: int) -> int:
        """How much of that is held, and may come back."""
        return self._held

    def take(self, at_ms: int, amount: int) -> Taken:
        """Holds an amount."""
        self._held += amount
        return Taken(at_ms, amount)

    def settle(self, taken: Taken, amount: int) -> None:
        """Nothing is held any more, and so much was used. Once for each `Taken`."""
        self._held -= taken.amount

    def add(self, at_ms: int, amount: int) -> None:
        """So much was used by a request of which nothing is held."""

    def reset_ms(self, at_ms: int) -> int:
        """How long until all is free again; 0 where nobody can say."""
        return 0

    def wait_ms(self, at_ms: int, over: int) -> int:
        """How long until so much has left by itself; a second where only an ending helps."""
        return 1_000

    def forget(self, now_ms: int, keep_ms: int) -> None:
        """Drops what does not count any more; requests may come so long after their acceptance."""

    @property
    def idle(self) -> bool:
        """Nothing counts."""
        return not self._held


class Sliding(Counter):
    """Any stretch of so many milliseconds that one looks at."""

    def __init__(self, window_ms: int = MINUTE_MS) -> None:
        super().__init__()
        self.window_ms = window_ms
        self.recent: deque[Taken] = deque()
        self._used = 0

    def used(self, at_ms: int) -> int:
        self.forget(at_ms)
        return self._used

    def returns(self, at_ms: int) -> int:
        self.forget(at_ms)
        return self._held

    def take(self, at_ms: int, amount: int) -> Taken:
        # A clock that went back would break the order that `forget` lives on.
        taken = Taken(max(at_ms, self.recent[-1].at_ms) if self.recent else at_ms, amount)
        self.recent.append(taken)
        self._used += amount
        self._held += amount
        return taken

    def settle(self, taken: Taken, amount: int) -> None:
        if taken.counts:
            self._held -= taken.amount
            self._used += amount - taken.amount
        taken.amount, taken.held = amount, False

    def reset_ms(self, at_ms: int) -> int:
        return self.recent[-1].at_ms + self.window_ms - at_ms if self.recent else 0

    def wait_ms(self, at_ms: int, over: int) -> int:
        for taken in self.recent:
            over -= taken.amount
            if over <= 0:
                return taken.at_ms + self.window_ms - at_ms
        return self.window_ms

    def forget(self, now_ms: int, keep_ms: int = 0) -> None:
        while self.recent and self.recent[0].at_ms <= now_ms - self.window_ms:
            taken = self.recent.popleft()
            taken.counts = False
            self._used -= taken.amount
            self._held -= taken.amount if taken.held else 0

    @property
    def idle(self) -> bool:
        return not self.recent


class Calendar(Counter):
    """Windows that begin with the UTC hour, day, week or month; each counts what was accepted in it."""

    saved: ClassVar[bool] = True

    def __init__(self, window: Window) -> None:
        super().__init__()
        self._window = window
        self.settled: dict[int, int] = defaultdict(int)
        """By the window's start (ms)."""
        self._held_in: dict[int, int] = defaultdict(int)

    def used(self, at_ms: int) -> int:
        start_ms = self._window.start_ms(at_ms)
        return self.settled.get(start_ms, 0) + self._held_in.get(start_ms, 0)

    def returns(self, at_ms: int) -> int:
        return self._held_in.get(self._window.start_ms(at_ms), 0)

    def take(self, at_ms: int, amount: int) -> Taken:
        self._held_in[self._window.start_ms(at_ms)] += amount
        return Taken(at_ms, amount)

    def settle(self, taken: Taken, amount: int) -> None:
        _less(self._held_in, self._window.start_ms(taken.at_ms), taken.amount)
        self.add(taken.at_ms, amount)

    def add(self, at_ms: int, amount: int) -> None:
        if amount:
            self.settled[self._window.start_ms(at_ms)] += amount

    def reset_ms(self, at_ms: int) -> int:
        return self._window.end_ms(at_ms) - at_ms

    def wait_ms(self, at_ms: int, over: int) -> int:
        return self.reset_ms(at_ms)

    def forget(self, now_ms: int, keep_ms: int) -> None:
        for start_ms in [one for one in self.settled if self._window.end_ms(one) <= now_ms - keep_ms]:
            del self.settled[start_ms]

    @property
    def idle(self) -> bool:
        return not self.settled and not self._held_in


def _less(amounts: dict[int, int], key: int, amount: int) -> None:
    left = amounts[key] - amount
    if left:
        amounts[key] = left
    else:
        del amounts[key]


class Owing(Counter):
    """A counter whose facts the ledger publishes: what was used counts as owed until its charge comes."""

    def owe(self, taken: Taken, amount: int) -> None:
        """A request has used so much; `settle` follows when the ledger has it."""
        raise NotImplementedError


class Posted(Calendar, Owing):
    """Calendar windows of what the ledger publishes in all."""

    saved: ClassVar[bool] = False

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._owed_in: dict[int, int] = defaultdict(int)

    def used(self, at_ms: int) -> int:
        return super().used(at_ms) + self._owed_in.get(self._window.start_ms(at_ms), 0)

    def owe(self, taken: Taken, amount: int) -> None:
        start_ms = self._window.start_ms(taken.at_ms)
        _less(self._held_in, start_ms, taken.amount)
        self._owed_in[start_ms] += amount
        taken.amount, taken.held = amount, False

    def settle(self, taken: Taken, amount: int) -> None:
        _less(self._held_in if taken.held else self._owed_in, self._window.start_ms(taken.at_ms), taken.amount)

    def posted(self, at_ms: int, amount: int) -> None:
        """All that was used in a window, as the ledger has it; smaller sums are older and ignored."""
        start_ms = self._window.start_ms(at_ms)
        self.settled[start_ms] = max(amount, self.settled[start_ms])

    @property
    def idle(self) -> bool:
        return super().idle and not self._owed_in


class Credit(Owing):
    """What is held and owed of a balance."""

    def __init__(self) -> None:
        super().__init__()
        self.balance = 0
        self._version = -1
        self._owed = 0

    def used(self, at_ms: int) -> int:
        return self._held + self._owed

    def owe(self, taken: Taken, amount: int) -> None:
        self._held -= taken.amount
        self._owed += amount
        taken.amount, taken.held = amount, False

    def settle(self, taken: Taken, amount: int) -> None:
        if taken.held:
            self._held -= taken.amount
        else:
            self._owed -= taken.amount

    def balance_is(self, microdollars: int, version: int) -> None:
        """The ledger's balance; an older one than is known is ignored."""
        if version > self._version:
            self.balance, self._version = microdollars, version


def counter_of(meter: Meter, *, posted: bool = False) -> Counter:
    """A new counter.

    Args:
        posted: the ledger publishes what is counted.
    """
    if meter.window is None:
        return Credit() if meter.quantity is USD else Counter()
    if meter.window is Window.MINUTE:
        return Sliding()
    return Posted(meter.window) if posted else Calendar(meter.window)
