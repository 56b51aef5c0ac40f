"""Does the broker answer? For who must refuse at once while it does not."""

import asyncio
import contextlib

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError

from libs.bus.settings import BusSettings
from libs.runtime.background import Repeated, Tasks
from libs.runtime.silence import Silence

log = structlog.get_logger()

EVERY_S = 0.5
ANSWER_WITHIN_S = 1.0


class BrokerWatch:
    """Asks the broker for a sign of life twice a second."""

    def __init__(self, settings: BusSettings) -> None:
        self._settings = settings
        self._admin: AIOKafkaAdminClient | None = None
        self._several = False
        """The log lies on more than one broker."""
        self.up = False
        """The broker answered the last question."""
        self._starting = Tasks("connections to brokers")
        self.background = Repeated("watch the broker", self._ask, every_s=EVERY_S)

    async def start(self) -> None:
        """Begins to ask; waits for no answer."""
        await self.background.start()

    async def stop(self) -> None:
        """Ends asking."""
        await self.background.stop()
        await self._starting.cancel()
        await self._disconnect()

    async def _ask(self) -> None:
        error = await self._failure()
        if error and self._several:
            # One of them may be away, and the log be there all the same.
            error = await self._failure()
        if error and self.up:
            log.warning("the broker does not answer", error=type(error).__name__)
        self.up = error is None

    async def _failure(self) -> Exception | None:
        """Why there is no answer; None where there is one."""
        try:
            async with Silence(ANSWER_WITHIN_S):
                if self._admin:
                    await self._admin.describe_cluster()
                else:
                    await self._connect()
        except Exception as error:
            await self._disconnect()
            return error
        if self._admin:
            self._several = len(self._admin._client.cluster.brokers()) > 1
        return None

    async def _connect(self) -> None:
        """To who answers first: one after the other, the first that is silent would have all the time."""
        # Nobody is cancelled: aiokafka would leave a connection open.
        starting = {self._starting.spawn(self._start(one)) for one in self._settings.brokers}
        while starting and self._admin is None:
            _, starting = await asyncio.wait(starting, return_when=asyncio.FIRST_COMPLETED)
        if self._admin is None:
            raise KafkaConnectionError("no broker answers")

    async def _start(self, broker: str) -> None:
        admin = AIOKafkaAdminClient(**self._settings.connection() | {"bootstrap_servers": [broker]})
        with contextlib.suppress(KafkaError):
            await admin.start()
            if self._admin is None:
                self._admin = admin
                return
        await admin.close()

    async def _disconnect(self) -> None:
        admin, self._admin = self._admin, None
        if admin:
            with contextlib.suppress(Exception):
                await admin.close()
