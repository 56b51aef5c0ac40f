"""Is the broker there, and is it still the one whose log we know?"""

import asyncio
import contextlib
from collections.abc import Callable

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError

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
        self._admin: AIOKafkaAdminClient | None = None
        self._asking = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self.up = False
        """The broker answered the last question."""

    async def same_log(self, cluster_id: str | None) -> bool:
        """Asks anew: True if the broker is there and its log is the one of this cluster ID (see `cluster_id`)."""
        return await self._ask_now() == cluster_id

    async def cluster_id(self) -> str:
        """Asks anew which log it is.

        Raises:
            KafkaError: the broker does not answer.
        """
        found = await self._ask_now()
        if found is None:
            raise KafkaConnectionError("the broker does not answer")
        return found

    def on_new_log(self, tell: Callable[[], None]) -> None:
        """``tell`` is called when the broker came back without its memory."""
        self._on_new_log.append(tell)

    def off_new_log(self, tell: Callable[[], None]) -> None:
        """``tell`` is not called any more."""
        self._on_new_log.remove(tell)

    async def start(self) -> None:
        """Begins to ask; waits for no answer."""
        self._task = asyncio.create_task(self._ask_on())

    async def stop(self) -> None:
        """Ends asking."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._hang_up()

    async def _ask_on(self) -> None:
        while True:
            await self._ask_now()
            await asyncio.sleep(EVERY_S)

    async def _ask_now(self) -> str | None:
        async with self._asking:
            try:
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    if self._admin is None:
                        self._admin = AIOKafkaAdminClient(**self._settings.connection())
                        await self._admin.start()
                    cluster_id: str = (await self._admin.describe_cluster())["cluster_id"]
            except Exception as error:
                if self.up:
                    log.warning("the broker does not answer", error=type(error).__name__)
                self.up = False
                await self._hang_up()
                return None
            self._heard(cluster_id)
            return cluster_id

    async def _hang_up(self) -> None:
        admin, self._admin = self._admin, None
        if admin:
            with contextlib.suppress(Exception):
                await admin.close()

    def _heard(self, cluster_id: str) -> None:
        before, self._cluster_id = self._cluster_id, cluster_id
        if before is not None and before != cluster_id:
            log.warning("the broker lost its log; beginning again")
            for tell in list(self._on_new_log):
                tell()
        self.up = True
