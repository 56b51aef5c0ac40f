"""How many requests may be in the gateway at once: a limit that follows its own delay. Pure.

The delay is what the gateway itself adds to a request, without its provider. It is learnt how long that is in quiet
times; when the median of a window is more than `TOLERANCE` times as long, work is queueing somewhere behind, and the
limit shrinks by that ratio; else it grows by its square root while it is used, and returns to where it began while it
is not. After Envoy's adaptive concurrency ("gradient controller") and Netflix's concurrency-limits (Gradient2Limit).
"""

import math
from statistics import median

TOLERANCE = 10.0
"""One request at a time takes 20 ms here; the log's batches make the best throughput one of 64 to 130 at 90 to 270 ms.
At 5, overload had 0.6 of that throughput, and some of 80 % of it were refused."""
FEW = 16
"""With no more inside nothing queues. A gateway at its best has 64 inside: taken for quiet, that would raise what is
tolerated to more than twice of it within a minute."""
LEAST_SAMPLES = 32
WINDOW_S = 0.1
INITIAL = 512
"""A burst that comes after quiet finds so much room; it is worked off within a second."""
GROW = 0.3
SHRINK = 0.6
RETURN = 0.05
"""How much of the way to what is wanted one window goes, and of the way back to `INITIAL` while little is used."""
LEARN_FASTER = 0.1
LEARN_SLOWER = 0.002
"""So a slower machine is learnt within minutes, and a load that lasts is not taken for one."""


class AdaptiveLimit:
    """The limit, from samples of delay."""

    def __init__(self, *, initial: int = INITIAL, least: int = 32, most: int = 10_000) -> None:
        self._initial = initial
        self._limit = float(initial)
        self._least = least
        self._most = most
        self._quiet_s: float | None = None
        self._samples: list[float] = []
        self._peak = 0
        self._began_s: float | None = None

    @property
    def value(self) -> int:
        """How many requests may be inside."""
        return int(self._limit)

    @property
    def tolerated_s(self) -> float | None:
        """The delay up to which the limit does not shrink; None before anything was learnt."""
        return None if self._quiet_s is None else self._quiet_s * TOLERANCE

    def sample(self, delay_s: float, inside: int, now_s: float) -> None:
        """Takes the delay of a request that ends.

        Args:
            delay_s: what the gateway added to it.
            inside: how many requests were in the gateway, itself included.
        """
        if self._began_s is None:
            self._began_s = now_s
        self._samples.append(delay_s)
        self._peak = max(self._peak, inside)
        if len(self._samples) >= LEAST_SAMPLES and now_s - self._began_s >= WINDOW_S:
            self._adjust(max(median(self._samples), 0.0005), self._peak)
            self._samples, self._peak, self._began_s = [], 0, now_s

    def _adjust(self, delay_s: float, peak: int) -> None:
        quiet_s = self._quiet_s
        if quiet_s is None:
            quiet_s = delay_s
        elif delay_s < quiet_s:
            quiet_s += (delay_s - quiet_s) * LEARN_FASTER
        elif peak <= min(FEW, self._limit / 4):
            quiet_s += (delay_s - quiet_s) * LEARN_SLOWER
        self._quiet_s = quiet_s
        gradient = max(0.5, min(1.0, TOLERANCE * quiet_s / delay_s))
        # What is not used proves nothing of a higher limit.
        if peak >= self._limit / 2 or gradient < 1:
            wanted = self._limit * gradient + math.sqrt(self._limit)
            self._limit += (wanted - self._limit) * (GROW if wanted > self._limit else SHRINK)
        elif self._limit < self._initial:
            self._limit += (self._initial - self._limit) * RETURN
        self._limit = max(self._least, min(self._most, self._limit))
