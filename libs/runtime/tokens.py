"""Access tokens that are kept until they end, whoever gives them."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Tokens(Generic[T]):
    """One fetch a name, however many ask at once; the least used make way."""

    def __init__(self, *, earlier_s: float, most: int) -> None:
        """
        Args:
            earlier_s: a token is fetched anew so long before its end: calls take time.
            most: that are kept.
        """
        self._earlier_s = earlier_s
        self._most = most
        self._known: OrderedDict[bytes, tuple[T, float]] = OrderedDict()
        self._fetches: dict[bytes, asyncio.Task[T]] = {}

    async def of(
        self,
        name: bytes,
        fetch: Callable[[], Awaitable[tuple[T, float]]],
        *,
        is_good: Callable[[T], bool] = lambda _: True,
    ) -> T:
        """The token of this name. Raises what ``fetch`` does.

        Args:
            fetch: gives a new one, and for how many seconds it is good.
            is_good: False: one that is kept is of no use, although it has not ended.
        """
        found = self._known.get(name)
        if found and found[1] > time.monotonic() + self._earlier_s and is_good(found[0]):
            self._known.move_to_end(name)
            return found[0]
        running = self._fetches.get(name)
        if running is None:
            running = self._fetches[name] = asyncio.create_task(self._fetch(name, fetch), name="access token")
            running.add_done_callback(lambda _: self._fetches.pop(name, None))
        # Who is cancelled must not take the token from the others that wait for it.
        return await asyncio.shield(running)

    async def _fetch(self, name: bytes, fetch: Callable[[], Awaitable[tuple[T, float]]]) -> T:
        asked_s = time.monotonic()
        token, lasts_s = await fetch()
        self._known[name] = token, asked_s + lasts_s
        if len(self._known) > self._most:
            self._known.popitem(last=False)
        return token
