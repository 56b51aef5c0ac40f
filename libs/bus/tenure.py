"""Whether a process has been a member of its group all the time, as the group's coordinator sees it."""

import asyncio
import contextlib
import time
from collections.abc import Callable

from aiokafka.errors import KafkaError

from libs.bus.reader import REBALANCE_WITHIN_MS, Beat, PartitionReader

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
        # A member that does not join a rebalance in time is missed, too.
        self._sure_s = min(session_s, REBALANCE_WITHIN_MS / 1000) * SURE
        self._reader = reader
        self._asking = asyncio.Lock()
        self._known = ""
        self._known_s = 0.0
        self._asked_ahead: asyncio.Task[None] | None = None

    @property
    def member_id(self) -> str:
        """Empty where it knows of none."""
        reader = self._reader()
        return reader.member_id if reader else ""

    async def lasts(self, member_id: str) -> bool:
        """It has been this member all the time until now.

        Raises:
            KafkaError: that cannot be known, for the coordinator is away.
        """
        if self._is_known(member_id, self._sure_s):
            if not self._is_known(member_id, self._sure_s / 2) and not self._asking.locked():
                # Before anybody has to wait for it.
                self._asked_ahead = asyncio.create_task(self._ask_ahead(member_id))
            return True
        return await self._ask(member_id, self._sure_s)

    async def _ask_ahead(self, member_id: str) -> None:
        with contextlib.suppress(KafkaError):
            await self._ask(member_id, self._sure_s / 2)

    async def _ask(self, member_id: str, sure_s: float) -> bool:
        async with self._asking:
            if self._is_known(member_id, sure_s):
                return True
            reader = self._reader()
            if reader is None or not member_id or member_id != reader.member_id:
                return False
            asked_s = _now_s()
            beat = await reader.beat()
            if beat is Beat.KNOWN:
                self._known, self._known_s = member_id, asked_s
            return beat is not Beat.UNKNOWN and member_id == self.member_id

    def _is_known(self, member_id: str, sure_s: float) -> bool:
        is_recent = _now_s() - self._known_s < sure_s
        return is_recent and bool(member_id) and self._known == member_id == self.member_id


def _now_s() -> float:
    # A machine that sleeps counts, where the system knows it.
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
