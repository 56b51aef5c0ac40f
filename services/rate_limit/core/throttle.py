"""Requests and tokens a minute, and requests at a time, of whatever an owner's requests are counted by. Pure.

A request counts in several scopes at once (its owner, its member, its model): it is let in by all of them or counted in
none. Any 60 seconds one looks at hold at most the limit.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from libs.config.gateway import RateLimits

MINUTE_MS = 60_000


@dataclass(slots=True)
class _Counted:
    at_ms: int
    tokens: int


@dataclass(slots=True)
class Scope:
    """One thing that requests are counted by, and what was counted."""

    recent: deque[_Counted] = field(default_factory=deque)
    tokens: int = 0
    """Of ``recent``."""
    running: int = 0

    def forget(self, now_ms: int) -> None:
        """Drops what is a minute old."""
        while self.recent and self.recent[0].at_ms <= now_ms - MINUTE_MS:
            self.tokens -= self.recent.popleft().tokens


@dataclass(frozen=True, slots=True)
class Count:
    """One limit and where it stands."""

    scope: str
    what: str
    """``requests``, ``tokens`` or ``concurrent``."""
    limit: int
    left: int
    reset_ms: int
    """Until one more request, or as many tokens as were asked for, may fit; for a request that was let in, until all
    is free again."""


@dataclass(slots=True)
class Throttle:
    """All scopes of one owner."""

    scopes: dict[str, Scope] = field(default_factory=dict)
    _running: dict[str, tuple[list[Scope], _Counted]] = field(default_factory=dict)

    def refuses(self, limits: Sequence[tuple[str, RateLimits]], tokens: int, now_ms: int) -> Count | None:
        """The first limit that a request does not fit into; None if it fits into all. Nothing is counted by asking."""
        for name, limit in limits:
            scope = self.scopes.get(name)
            if scope:
                scope.forget(now_ms)
            for count in _counts(name, limit, scope or Scope(), now_ms):
                wanted = tokens if count.what == "tokens" else 1
                if wanted > count.left:
                    return Count(
                        name, count.what, count.limit, max(0, count.left), _wait_ms(scope, count, wanted, now_ms)
                    )
        return None

    def count(self, request_id: str, limits: Sequence[tuple[str, RateLimits]], tokens: int, at_ms: int) -> None:
        """Counts a request that was let in. The same again changes nothing."""
        names = [name for name, limit in limits if limit != _NONE]
        if not names or request_id in self._running:
            return
        counted, scopes = _Counted(at_ms, tokens), [self.scopes.setdefault(name, Scope()) for name in names]
        for scope in scopes:
            # A clock that went back would break the order that `forget` lives on.
            if scope.recent and scope.recent[-1].at_ms > counted.at_ms:
                counted.at_ms = scope.recent[-1].at_ms
        for scope in scopes:
            scope.recent.append(counted)
            scope.tokens += tokens
            scope.running += 1
        self._running[request_id] = (scopes, counted)

    def ended(self, request_id: str, tokens: int | None) -> None:
        """A request has ended; from now on it counts with what it used. None: nobody knows, it counts as before."""
        scopes, counted = self._running.pop(request_id, ((), None))
        if counted is None:
            return
        change = 0 if tokens is None else tokens - counted.tokens
        counted.tokens += change
        for scope in scopes:
            scope.running -= 1
            # What is forgotten was older than all that is left: those of one time go together.
            if scope.recent and counted.at_ms >= scope.recent[0].at_ms:
                scope.tokens += change

    def standing(self, limits: Sequence[tuple[str, RateLimits]], now_ms: int) -> list[Count]:
        """Where all limits stand."""
        found: list[Count] = []
        for name, limit in limits:
            scope = self.scopes.get(name) or Scope()
            scope.forget(now_ms)
            found += _counts(name, limit, scope, now_ms)
        return found

    def forget(self, now_ms: int) -> None:
        """Drops scopes in which nothing counts any more."""
        for name in list(self.scopes):
            scope = self.scopes[name]
            scope.forget(now_ms)
            if not scope.recent and not scope.running:
                del self.scopes[name]

    @property
    def idle(self) -> bool:
        """Nothing counts."""
        return not self.scopes


_NONE = RateLimits()


def _counts(name: str, limit: RateLimits, scope: Scope, now_ms: int) -> Iterator[Count]:
    reset_ms = scope.recent[-1].at_ms + MINUTE_MS - now_ms if scope.recent else 0
    for what, most, used in (
        ("requests", limit.requests_per_minute, len(scope.recent)),
        ("tokens", limit.tokens_per_minute, scope.tokens),
        ("concurrent", limit.concurrent, scope.running),
    ):
        if most is not None:
            yield Count(name, what, most, most - used, 0 if what == "concurrent" else reset_ms)


def _wait_ms(scope: Scope | None, count: Count, wanted: int, now_ms: int) -> int:
    """Until enough has left the minute; a second where only an ending helps."""
    if scope is None or count.what == "concurrent":
        return 1_000
    left = count.left
    for counted in scope.recent:
        left += counted.tokens if count.what == "tokens" else 1
        if left >= wanted:
            return counted.at_ms + MINUTE_MS - now_ms
    return MINUTE_MS
