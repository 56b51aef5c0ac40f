"""Whether a process has been a member of its group all the time, as the group's coordinator sees it."""

import asyncio
import time
from collections.abc import Callable

from aiokafka.errors import KafkaError

from libs.bus.reader import PartitionReader

SURE = 0.8
"""The share of a session for which an answer of the coordinator holds."""


class Tenure:
    """Who stood still for longer than its session was taken for dead, and does not know it: its partitions are others'.

    It was not where the coordinator still knows its member ID, which is another after each time that it was taken for
    dead.
    """

    def __init__(self, session_s: float, reader: Callable[[], PartitionReader | None]) -> None:
        """
        Args:
            session_s: the session's time-out.
            reader: that is the member now.
        """
        self._session_s = session_s
        self._reader = reader
        self._asking = asyncio.Lock()
        self._known = ""
        self._known_s = 0.0

    @property
    def member_id(self) -> str:
        """Empty where it knows of none."""
        reader = self._reader()
        return reader.member_id if reader else ""

    async def lasts(self, member_id: str) -> bool:
        """It has been this member all the time until now. False also where that cannot be known."""
        async with self._asking:
            if not member_id or member_id != self.member_id:
                return False
            asked_s = _now_s()
            if self._known == member_id and asked_s - self._known_s < self._session_s * SURE:
                return True
            reader = self._reader()
            try:
                known = reader is not None and await reader.beats()
            except KafkaError:
                return False
            if known:
                self._known, self._known_s = member_id, asked_s
            return known and member_id == self.member_id


def _now_s() -> float:
    # A machine that sleeps counts, where the system knows it.
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
