"""When the pieces of all streams go onto the log: together, and not more often than every few milliseconds."""

import asyncio
from collections.abc import Callable

BEAT_S = 0.005
"""What a broker, an ingress and this relay do for a batch costs as much as ten to twenty pieces, and of twenty streams
with a word every 5 ms two or three came together. A stream alone is not held up, unless its words come faster."""


class Beat:
    """Calls whoever asks for it, at once if the last time is long enough ago."""

    def __init__(self, every_s: float = BEAT_S) -> None:
        self._every_s = every_s
        self._last_s = 0.0
        self._waiting: list[Callable[[], None]] = []

    def call(self, function: Callable[[], None]) -> None:
        """Calls a function once, soon: never in this turn of the loop."""
        self._waiting.append(function)
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_at(self._last_s + self._every_s, self._beat)

    def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        self._last_s = loop.time()
        waiting, self._waiting = self._waiting, []
        for function in waiting:
            # All in one turn; one that fails keeps no other from it.
            loop.call_soon(function)
