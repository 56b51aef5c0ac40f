"""Who comes in at once comes in one after the other, and the loop has turns in between."""

import asyncio
from collections import deque


class Turnstile:
    """Lets so many through in a turn of the loop; who comes beyond that has a later turn, in order.

    Answers leave in batches, so places get free many at a time, and each request that takes one is some tenths of a
    millisecond of work. Done in one turn, all that is to be refused within milliseconds would wait for that.
    """

    def __init__(self, most: int) -> None:
        """
        Args:
            most: in a turn.
        """
        self._most = most
        self._room = most
        self._turning = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> None:
        """Returns when it is the caller's turn."""
        if self._room:
            self._room -= 1
            self._turn_soon()
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        await turn

    def _turn_soon(self) -> None:
        if not self._turning:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._turning, self._room = False, self._most
        while self._room and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._room -= 1
        if self._room < self._most:
            self._turn_soon()
