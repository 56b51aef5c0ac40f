"""Follows the reply partition that this ingress holds."""

import asyncio

from contracts import topics
from contracts.record import Refusal
from libs.bus.follower import Follower, From
from libs.bus.settings import BusSettings
from libs.bus.watch import BrokerWatch
from services.ingress.waiting import WaitingRoom

LOST = Refusal(
    status=503,
    message="The gateway lost the log that carries this answer; try again in a moment.",
    retry_after_s=1,
)


class RepliesReader:
    """Reads the partition from its end at the time of the claim: earlier replies are for former holders."""

    def __init__(self, settings: BusSettings, watch: BrokerWatch, room: WaitingRoom) -> None:
        self._settings = settings
        self._watch = watch
        self._room = room
        self._follower: Follower | None = None
        self._changes: asyncio.Queue[int | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Replies to requests that are published from now on will be read."""
        return self._follower is not None and self._follower.ready

    def claimed(self, partition: int) -> None:
        """Begins to follow a partition."""
        self._changes.put_nowait(partition)

    def lost(self) -> None:
        """Ends following, and every wait for a reply from there."""
        self._room.fail_all(LOST)
        self._changes.put_nowait(None)

    async def start(self) -> None:
        """Begins to heed claims."""
        self._task = asyncio.create_task(self._heed())

    async def stop(self) -> None:
        """Ends following."""
        if self._task:
            self._task.cancel()
        await self._unfollow()

    async def _heed(self) -> None:
        while True:
            partition = await self._changes.get()
            await self._unfollow()
            if partition is not None:
                self._follower = Follower(
                    self._settings,
                    self._watch,
                    [(topics.REPLIES, partition)],
                    self._room.take,
                    begin=From.END,
                    fetch_wait_ms=10,
                )
                await self._follower.start()

    async def _unfollow(self) -> None:
        follower, self._follower = self._follower, None
        if follower:
            await follower.stop()
