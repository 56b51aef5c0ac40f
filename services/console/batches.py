"""Files and batches that clients have made: read from ``batches.index.v1``, which has no content and no ID (ADR 53)."""

from contracts import topics
from contracts.clock import now_ms
from libs.batches.index import KEPT_MS, BatchIndex
from libs.bus.service import Service
from libs.runtime.background import Repeated
from services.console.errors import Away

EXPIRE_EVERY_S = 600.0


class Batches:
    """The index as every ingress has it."""

    def __init__(self, service: Service) -> None:
        self._index = BatchIndex(KEPT_MS)
        self._follower = service.follower(topics.BATCH_INDEX, lambda received: self._index.apply(received.record))

        async def forget() -> None:
            self._index.expire(now_ms())

        self._expiring = Repeated("forget old batches", forget, every_s=EXPIRE_EVERY_S)

    @property
    def index(self) -> BatchIndex:
        """Whole. Raises Away where it is not yet."""
        if not self._follower.ready:
            raise Away("the log of batches is not read yet; try again in a moment")
        return self._index

    async def start(self) -> None:
        """Begins to read; the console does not wait for it."""
        await self._follower.start()
        await self._expiring.start()

    async def stop(self) -> None:
        """Ends reading."""
        await self._expiring.stop()
        await self._follower.stop()
