"""Files and batches on the log: what is written of them, and what is read (ADR 45)."""

import asyncio
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeVar

import orjson
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from contracts import topics
from contracts.batches import BatchEvent, BatchOrdered, Part, PartSealed
from contracts.clock import now_ms
from contracts.record import Record
from contracts.topic import Topic
from libs.batches.index import KEPT_MS, Batch, BatchIndex, StoredFile
from libs.bus.producer import settle
from libs.bus.service import Service
from libs.sealing.hybrid import SealError
from libs.sealing.kept import ClientKey, seal, unseal
from libs.sealing.named import BATCH, FILE, Named
from services.ingress.core.errors import BadRequest, NotFound, Unavailable, log_away
from services.ingress.core.lines import lines_of
from services.ingress.fold import Fold

T = TypeVar("T")

WITHIN_S = 10.0
NEW_WITHIN_S = 0.4
"""What was made a moment ago may not be in the index of this ingress yet."""
MOST_READS = 8
"""At a time: each is a connection to the broker, and a part in memory."""
_LISTS = "\0lists"
"""In the place of an ``Idempotency-Key``; no client can send it."""


class BatchLog:
    """The index, which every ingress holds, and the parts of files."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.index = BatchIndex(KEPT_MS)
        self._log = Fold(service, topics.BATCH_INDEX, self._apply, self.index.expire, what="batches")
        self.background = self._log.background
        self._reads = asyncio.Semaphore(MOST_READS)
        self.changed = asyncio.Event()
        """Set with each record."""

    def _apply(self, event: BatchEvent) -> None:
        self.index.apply(event)
        self.changed.set()

    async def start(self) -> None:
        """Begins to follow the index, and returns once it is whole."""
        await self._log.start()

    async def stop(self) -> None:
        """Ends following."""
        await self._log.stop()

    async def add(self, event: BatchEvent) -> None:
        """Writes an event, and returns once this ingress's index has it. Raises Unavailable."""
        partition, offset = await self._publish(topics.BATCH_INDEX, event)
        try:
            async with asyncio.timeout(WITHIN_S):
                while self._log.position(partition) <= offset:
                    await self._log.moved()
        except TimeoutError:
            raise log_away() from None

    async def order(self, ordered: BatchOrdered) -> tuple[int, int]:
        """Writes what whoever runs the batch must know; returns partition and offset. Raises Unavailable."""
        return await self._publish(topics.BATCH_ORDERS, ordered)

    async def ordered(self, batch: Batch) -> BatchOrdered | None:
        """The order of a batch; None where the log does not have it any more. Raises Unavailable."""
        try:
            async with asyncio.timeout(WITHIN_S):
                found = await self._service.read_at(topics.BATCH_ORDERS, batch.created.partition, batch.created.offset)
        except (KafkaError, TimeoutError):
            raise log_away() from None
        return found.record if found and found.record.locator == batch.created.locator else None

    async def write(self, named: Named, number: int, content: bytes) -> Part:
        """Seals some lines of a file, and writes them. Raises BadRequest, Unavailable."""
        sealed = await asyncio.to_thread(named.seal, content, f"part {number}")
        partition, offset = await self._publish(topics.FILES, PartSealed(locator=named.locator, sealed=sealed))
        return Part(
            partition=partition,
            offset=offset,
            number=number,
            lines=len(lines_of(content)),
            size=len(content),
            sealed_bytes=len(sealed),
        )

    async def read(self, named: Named, part: Part) -> bytes:
        """The lines of a part. Raises NotFound where the log does not have them any more; Unavailable."""
        try:
            async with asyncio.timeout(WITHIN_S), self._reads:
                found = await self._service.read_at(topics.FILES, part.partition, part.offset)
                if found is None or found.record.locator != named.locator:
                    raise gone(named.name)
                return await asyncio.to_thread(named.open, found.record.sealed, f"part {part.number}")
        except (KafkaError, TimeoutError):
            raise Unavailable("The file cannot be read now; try again in a moment.", retry_after_s=1) from None
        except SealError:
            raise gone(named.name) from None

    async def content(self, named: Named, parts: Sequence[Part]) -> AsyncIterator[bytes]:
        """The content of a file, part by part. Raises as `read` does."""
        for part in parts:
            yield await self.read(named, part)

    async def file(self, file_id: str, owner: str) -> tuple[Named, StoredFile]:
        """An owner's file. Raises NotFound."""
        if FILE.is_id(file_id):
            named = Named(file_id, owner)
            found = await self._new(lambda: self.index.file(owner, named.locator, now_ms()))
            if found is not None:
                return named, found
        raise gone(file_id)

    async def batch(self, batch_id: str, owner: str) -> tuple[Named, Batch]:
        """An owner's batch. Raises NotFound."""
        if BATCH.is_id(batch_id):
            named = Named(batch_id, owner)
            found = await self._new(lambda: self.index.batch(owner, named.locator, now_ms()))
            if found is not None:
                return named, found
        raise gone(batch_id)

    async def _new(self, find: Callable[[], T | None]) -> T | None:
        try:
            async with asyncio.timeout(NEW_WITHIN_S):
                while (found := find()) is None:
                    await self._log.moved()
        except TimeoutError:
            return None
        return found

    async def _publish(self, topic: Topic[Any], record: Record) -> tuple[int, int]:
        try:
            async with asyncio.timeout(WITHIN_S):
                acknowledgement = await self._service.producer.publish(topic, record)
                await settle([acknowledgement])
        except MessageSizeTooLargeError:
            raise BadRequest("This is too much for one record of the gateway's log.") from None
        except (KafkaError, TimeoutError):
            raise log_away() from None
        found = acknowledgement.result()
        return found.partition, found.offset


def gone(name: str) -> NotFound:
    """There is nothing of this ID."""
    return NotFound(f"There is no {name[:80]!r}: it was never here, was deleted, has expired, or is another's.")


def sealed_about(named: Named, about: dict[str, Any]) -> str:
    """What a client is shown of a thing, for the index."""
    return b64encode(named.seal(orjson.dumps(about), "about")).decode()


def about_of(named: Named, sealed: str) -> dict[str, Any]:
    """Inverse of `sealed_about`. Raises NotFound where it is another's."""
    try:
        about: dict[str, Any] = orjson.loads(named.open(b64decode(sealed), "about"))
    except SealError:
        raise gone(named.name) from None
    return about


class Lister:
    """Seals IDs so that the API key which made a thing finds it in its lists, and nobody else does."""

    def __init__(self, api_key: str, owner: str) -> None:
        self._key = ClientKey.derive(api_key, owner, _LISTS).seal

    def seal(self, named: Named) -> str:
        """For the index."""
        return b64encode(seal(named.name.encode(), self._key, named.locator)).decode()

    def open(self, sealed: str, locator: str) -> str | None:
        """The ID; None where another API key made it."""
        try:
            return unseal(b64decode(sealed), self._key, locator).decode()
        except SealError:
            return None
