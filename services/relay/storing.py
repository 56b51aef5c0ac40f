"""Puts the answers that clients want stored on the log, sealed, before their clients see the end of them."""

import asyncio

import structlog
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from contracts import topics
from contracts.clock import now_ms
from contracts.responses import ResponseSealed, ResponseStored
from libs.bus.producer import Producer
from libs.sealing.responses import locator_of, seal_response
from services.relay.core.keeping import Kept

log = structlog.get_logger()

RETRY_S = 0.2


class Storing:
    """Publishes the sealed content. Where it lies is published with the end of the answer: nobody is to find one that
    another call has taken the place of."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer

    async def store(self, kept: Kept, owner: str, trace: str) -> ResponseStored | None:
        """Returns when it is on the log, with where; None: it is too large to be stored."""
        locator = locator_of(kept.response_id)
        # Packing and sealing megabytes takes a while.
        sealed = await asyncio.to_thread(seal_response, kept.content, kept.response_id, owner=owner)
        record = ResponseSealed(locator=locator, sealed=sealed)
        try:
            partition, offset = await self._publish(record, trace)
        except MessageSizeTooLargeError:
            log.warning("a response is too large to be stored", sealed_bytes=len(sealed))
            return None
        return ResponseStored(
            locator=locator,
            owner=owner,
            partition=partition,
            offset=offset,
            sealed_bytes=len(sealed),
            expires_at_ms=now_ms() + topics.RESPONSES.retention_ms,
        )

    async def _publish(self, record: ResponseSealed, trace: str) -> tuple[int, int]:
        while True:
            try:
                acknowledged = await (await self._producer.publish(topics.RESPONSES, record, trace))
                return acknowledged.partition, acknowledged.offset
            except MessageSizeTooLargeError:
                raise
            except KafkaError as error:
                log.warning("published again", record="ResponseSealed", error=type(error).__name__)
                await asyncio.sleep(RETRY_S)
