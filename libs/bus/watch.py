"""Does the broker answer? For who must refuse at once while it does not."""

import asyncio
import contextlib

import structlog
from aiokafka.admin import AIOKafkaAdminClient

from libs.bus.settings import BusSettings
from libs.runtime.background import Repeated
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
        self.background = Repeated("watch the broker", self._ask, every_s=EVERY_S)

    async def start(self) -> None:
        """Begins to ask; waits for no answer."""
        await self.background.start()

    async def stop(self) -> None:
        """Ends asking."""
        await self.background.stop()
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
                    self._admin = await self._connected()
        except Exception as error:
            await self._disconnect()
            return error
        self._several = len(self._admin._client.cluster.brokers()) > 1
        return None

    async def _connected(self) -> AIOKafkaAdminClient:
        """To who answers first: one after the other, the first that is silent would have all the time."""
        starting = [asyncio.ensure_future(self._started(one)) for one in self._settings.brokers]
        connected, failure = None, Exception()
        try:
            for answer in asyncio.as_completed(starting):
                try:
                    connected = await answer
                    return connected
                except Exception as error:
                    failure = error
            raise failure
        finally:
            for one in starting:
                one.cancel()
            for other in await asyncio.gather(*starting, return_exceptions=True):
                if isinstance(other, AIOKafkaAdminClient) and other is not connected:
                    await other.close()

    async def _started(self, broker: str) -> AIOKafkaAdminClient:
        admin = AIOKafkaAdminClient(**self._settings.connection() | {"bootstrap_servers": [broker]})
        try:
            await admin.start()
        except BaseException:
            await admin.close()
            raise
        return admin

    async def _disconnect(self) -> None:
        admin, self._admin = self._admin, None
        if admin:
            with contextlib.suppress(Exception):
                await admin.close()
