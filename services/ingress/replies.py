"""Follows the reply partitions that this ingress holds."""

import asyncio

from contracts import topics
from contracts.record import ReplyAddress
from libs.bus.follower import Follower, From
from libs.bus.service import Service
from libs.runtime.background import Repeated
from services.ingress.waiting import WaitingRoom


class RepliesReader:
    """Reads the partition from its end at the time of the claim: earlier replies are for former holders.

    With it goes the one of the same number for answers that are kept.
    """

    def __init__(self, service: Service, room: WaitingRoom) -> None:
        self._service = service
        self._room = room
        self._wanted: int | None = None
        self._followed: int | None = None
        self._follower: Follower | None = None
        self._first = asyncio.Event()
        self.background = Repeated("follow the claimed partition", self._follow)

    @property
    def ready(self) -> bool:
        """Replies to requests that are published from now on will be read."""
        return self._follower is not None and self._followed == self._wanted and self._follower.ready

    def position(self, address: ReplyAddress) -> int:
        """The offset from which on replies come to who asks now."""
        if self._follower is None:
            return 0
        return self._follower.position(topics.replies_of(address), address.partition)

    def claimed(self, partition: int) -> None:
        """Begins to follow a partition."""
        self._wanted = partition
        self.background.wake()

    def lost(self) -> None:
        """Ends following. Who waits for a reply from there reads it from the log."""
        self._room.read_all_again()
        self._wanted = None
        self.background.wake()

    async def wait_ready(self) -> None:
        """Returns when the first partition is followed."""
        await self._first.wait()
        assert self._follower is not None
        await self._follower.wait_ready()

    async def start(self) -> None:
        """Begins to heed claims."""
        await self.background.start()

    async def stop(self) -> None:
        """Ends following."""
        await self.background.stop()
        await self._unfollow()

    async def _follow(self) -> None:
        """A partition that was lost and claimed again is followed anew, from its end at the new claim."""
        await self._unfollow()
        self._followed = self._wanted
        if self._followed is None:
            return
        self._follower = self._service.follower(
            topics.REPLIES,
            self._room.receive,
            beside=[topics.KEPT_REPLIES],
            partitions=[self._followed],
            begin=From.END,
            wanted=self._room.wanted,
            on_dead_letter=self._room.on_dead_letter,
        )
        await self._follower.start()
        self._first.set()

    async def _unfollow(self) -> None:
        follower, self._follower = self._follower, None
        if follower:
            await follower.stop()
