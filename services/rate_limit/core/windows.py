"""Sliding-window limits, exact in whatever window one looks. Pure: times and offsets are arguments.

A subject's state is its admitted requests of the last window, each with its offset in ``gateway.requests``. One writer
holds a subject, so no lock is needed; a request that is delivered again is answered as it was the first time.
"""

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``count`` admissions in any ``window_ms`` milliseconds."""

    name: str
    count: int
    window_ms: int


@dataclass(slots=True)
class Window:
    """The admissions of one subject, oldest first."""

    times_ms: deque[int] = field(default_factory=deque)
    offsets: deque[int] = field(default_factory=deque)
    applied_offset: int = -1


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one request, and the state of the window after it."""

    admitted: bool
    remaining: int
    reset_ms: int
    """Until the window is empty again, or, for a refused request, until one more will fit."""
    again: bool = False
    """The request had been decided before; the window did not change."""


def admit(window: Window, limit: Limit, *, at_ms: int, offset: int) -> Verdict:
    """Decides one request and counts it if it is admitted.

    Args:
        at_ms: the request's own time. A subject's time never runs backwards: an earlier one counts as the last seen.
        offset: in its partition; a redelivery is known by it.
    """
    if offset <= window.applied_offset:
        return Verdict(_was_admitted(window, offset), limit.count - len(window.times_ms), 0, again=True)
    window.applied_offset = offset
    now_ms = max(at_ms, window.times_ms[-1]) if window.times_ms else at_ms
    while window.times_ms and window.times_ms[0] <= now_ms - limit.window_ms:
        window.times_ms.popleft()
        window.offsets.popleft()
    if len(window.times_ms) >= limit.count:
        until_ms = window.times_ms[0] + limit.window_ms - now_ms if window.times_ms else limit.window_ms
        return Verdict(False, 0, until_ms)
    window.times_ms.append(now_ms)
    window.offsets.append(offset)
    return Verdict(True, limit.count - len(window.times_ms), window.times_ms[0] + limit.window_ms - now_ms)


def _was_admitted(window: Window, offset: int) -> bool:
    index = bisect_left(window.offsets, offset)
    return index < len(window.offsets) and window.offsets[index] == offset


def expired(window: Window, limit: Limit, now_ms: int) -> bool:
    """True if nothing of the window matters any more."""
    return not window.times_ms or window.times_ms[-1] <= now_ms - limit.window_ms
