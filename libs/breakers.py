"""How providers do: a breaker for each, and how fast they are. Pure: reports and times in, standings out.

Closed, a breaker counts reports over a window. It opens where enough calls failed, and most of them; after a while one
request is let through (half-open), whose outcome closes it or begins the wait anew. All routers read the same reports,
so all breakers of a provider open and close together; each router sends its own request to try.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

from contracts.outcomes import OutcomesCounted, Pace
from libs.config.gateway import Breaker

LIMITED_MS = 10_000
"""How long a 429 counts against a provider: its limits are most often by the minute, and fill again all the time."""
PACE_MS = 5 * 60_000
"""A pace is forgotten after this time without news, so that who was slow once is asked again."""
_NEWEST = 0.3
"""The weight of a report among those before it."""


class Standing(IntEnum):
    """The better is the smaller."""

    WELL = 0
    LIMITED = 1
    """Answered 429 a moment ago."""
    FAILING = 2
    """The breaker is open: most calls fail."""
    DOWN = 3
    """The breaker is open, and nothing has come back since."""


@dataclass(slots=True)
class _Provider:
    reports: deque[tuple[int, int, int]] = field(default_factory=deque)
    """When, how many answered, how many failed."""
    opened_at_ms: int | None = None
    tried_at_ms: int = 0
    dead: bool = False
    limited_at_ms: int | None = None
    paces: dict[str, tuple[int, Pace]] = field(default_factory=dict)


class Health:
    """All providers of which reports have come."""

    def __init__(self, breaker: Callable[[], Breaker | None]) -> None:
        """
        Args:
            breaker: what holds now; None where providers are taken to be well whatever happens.
        """
        self._configured = breaker
        self._providers: dict[str, _Provider] = {}

    @property
    def _breaker(self) -> Breaker | None:
        return self._configured()

    def note(self, counted: OutcomesCounted, now_ms: int) -> None:
        """Takes a relay's report in."""
        provider = self._providers.setdefault(counted.provider_id, _Provider())
        for model, pace in counted.paces.items():
            _, before = provider.paces.get(model, (0, pace))
            provider.paces[model] = (now_ms, _mixed(before, pace))
        if counted.limited:
            provider.limited_at_ms = now_ms
        breaker = self._breaker
        if breaker and (counted.answered or counted.failed):
            self._count(provider, counted, breaker, now_ms)

    def standing(self, provider_id: str, now_ms: int) -> Standing:
        """How a provider is."""
        provider = self._providers.get(provider_id)
        if provider is None or self._breaker is None:
            return Standing.WELL
        if provider.opened_at_ms is not None:
            return Standing.DOWN if provider.dead else Standing.FAILING
        limited_at_ms = provider.limited_at_ms
        return Standing.LIMITED if limited_at_ms is not None and now_ms - limited_at_ms < LIMITED_MS else Standing.WELL

    def half_open_in_ms(self, provider_id: str, now_ms: int) -> int:
        """How long until a request may try a provider whose breaker is open; 0: now."""
        provider = self._providers.get(provider_id)
        breaker = self._breaker
        if provider is None or breaker is None or provider.opened_at_ms is None:
            return 0
        since_ms = max(provider.opened_at_ms, provider.tried_at_ms)
        return max(0, since_ms + int(breaker.open_s * 1000) - now_ms)

    def tried(self, provider_id: str, now_ms: int) -> None:
        """A request is on its way to see whether an open breaker may close; no other, until it was long enough away."""
        self._providers[provider_id].tried_at_ms = now_ms

    def pace(self, provider_id: str, upstream_model: str, now_ms: int) -> Pace | None:
        """How fast a provider's model is, if that is known."""
        provider = self._providers.get(provider_id)
        noted_at_ms, pace = provider.paces.get(upstream_model, (0, None)) if provider else (0, None)
        return pace if now_ms - noted_at_ms < PACE_MS else None

    def _count(self, provider: _Provider, counted: OutcomesCounted, breaker: Breaker, now_ms: int) -> None:
        half_open = provider.opened_at_ms is not None and now_ms - provider.opened_at_ms >= breaker.open_s * 1000
        reports = provider.reports
        reports.append((now_ms, counted.answered, counted.failed))
        while now_ms - reports[0][0] >= breaker.window_s * 1000:
            reports.popleft()
        answered, failed = sum(one for _, one, _ in reports), sum(one for _, _, one in reports)
        enough = failed >= breaker.failures
        if counted.answered:
            provider.dead = False
        elif enough and not answered:
            provider.dead = True
        if provider.opened_at_ms is None:
            if enough and failed >= breaker.ratio * (answered + failed):
                provider.opened_at_ms = now_ms
        elif half_open and counted.failed:
            provider.opened_at_ms = now_ms
        elif half_open:
            provider.opened_at_ms = None
            reports.clear()


def _mixed(before: Pace, newest: Pace) -> Pace:
    speed = newest.tokens_per_s
    if speed is None or before.tokens_per_s is None:
        speed = speed or before.tokens_per_s
    else:
        speed = _NEWEST * speed + (1 - _NEWEST) * before.tokens_per_s
    first_byte_ms = round(_NEWEST * newest.first_byte_ms + (1 - _NEWEST) * before.first_byte_ms)
    return Pace(first_byte_ms=first_byte_ms, tokens_per_s=speed)
