"""The one unit of time: milliseconds."""

import time


def now_ms() -> int:
    """Milliseconds since the epoch. Cores take it as an argument; only edges call this."""
    return time.time_ns() // 1_000_000


def monotonic_ms() -> int:
    """Milliseconds since some moment, of a clock that never goes back: for what one process keeps for a while."""
    return time.monotonic_ns() // 1_000_000
