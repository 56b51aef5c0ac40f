"""The one unit of time in records."""

import time


def now_ms() -> int:
    """Milliseconds since the epoch. Cores take it as an argument; only edges call this."""
    return time.time_ns() // 1_000_000
