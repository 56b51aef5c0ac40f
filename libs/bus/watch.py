"""Is the broker there, and is it still the one whose log we know?"""

import asyncio
import contextlib
from collections.abc import Callable

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from libs.bus.settings import BusSettings

log = structlog.get_logger()

EVERY_S = 0.3
ANSWER_WITHIN_S = 1.0


class BrokerWatch:
    """Asks the broker for its cluster ID a few times a second. One for each process.

    The embedded broker keeps its log in memory: after a restart all topics begin again at offset 0, and only the
    cluster ID tells. Apache Kafka keeps both.
    """

    def __init__(self, settings: BusSettings) -> None:
        self._settings = settings
        self._cluster_id: str | None = None
        self._on_new_log: list[Callable[[], None]] = []
        self._task: asyncio.Task[None] | None = None
        self.up = False
        """The broker answered the last question."""

    def on_new_log(self, tell: Callable[[], None]) -> None:
        """``tell`` is called when the broker came back without its memory."""
        self._on_new_log.append(tell)

    async def start(self) -> None:
        """Begins to ask; waits for no answer."""
        self._task = asyncio.create_task(self._ask_on())

    async def stop(self) -> None:
        """Ends asking."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _ask_on(self) -> None:
        while True:
            admin = AIOKafkaAdminClient(**self._settings.connection())
            try:
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    await admin.start()
                while True:
                    async with asyncio.timeout(ANSWER_WITHIN_S):
                        self._heard((await admin.describe_cluster())["cluster_id"])
                    await asyncio.sleep(EVERY_S)
            except (KafkaError, TimeoutError, OSError) as error:
                if self.up:
                    log.warning("the broker does not answer", error=type(error).__name__)
                self.up = False
            finally:
                with contextlib.suppress(Exception):
                    await admin.close()
            await asyncio.sleep(EVERY_S)

    def _heard(self, cluster_id: str) -> None:
        before, self._cluster_id = self._cluster_id, cluster_id
        if before is not None and before != cluster_id:
            log.warning("the broker lost its log; beginning again")
            for tell in self._on_new_log:
                tell()
        self.up = True
