"""Keeps one partition of ``gateway.replies`` for this ingress."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Literal

import structlog
from aiokafka.errors import KafkaError

from contracts import topics
from contracts.claims import PartitionClaimed
from contracts.clock import now_ms
from libs.bus.producer import settle
from libs.bus.records import Received
from libs.bus.service import Service
from libs.runtime.background import Repeated
from services.ingress.core.claims import Claims

log = structlog.get_logger()

LEASE_S = 6.0
RENEW_S = 1.5
ANSWER_WITHIN_S = 2.0


class Claimant:
    """Claims a free partition, renews the claim, and notices when it is lost.

    `held` is trusted only for as long as no rival may have superseded it: the lease counts from before the last
    renewal that was seen on the log.
    """

    def __init__(
        self, service: Service, ingress_id: str, *, on_claimed: Callable[[int], None], on_lost: Callable[[], None]
    ) -> None:
        self._partitions = service.bus.reply_partitions
        self._producer = service.producer
        self._ingress_id = ingress_id
        self._on_claimed = on_claimed
        self._on_lost = on_lost
        self._claims = Claims()
        self._seen = asyncio.Event()
        self._sent_at_s = 0.0
        self._partition: int | None = None
        self._follower = service.follower(topics.CLAIMS, self._receive)
        self.background = Repeated("keep a reply partition", self._keep, every_s=RENEW_S)

    @property
    def held(self) -> int | None:
        """The partition that is surely ours now."""
        if self._partition is not None and time.monotonic() - self._sent_at_s < LEASE_S:
            return self._partition
        return None

    async def start(self) -> None:
        """Begins to claim."""
        await self._follower.start()
        await self.background.start()

    async def stop(self) -> None:
        """Releases the partition, so that the next ingress need not wait for the lease."""
        await self.background.stop()
        if self.held is not None:
            with contextlib.suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    await self._publish("release", self._partition or 0, self._tip())
        await self._follower.stop()

    def _receive(self, received: Received[PartitionClaimed]) -> None:
        self._claims.apply(received.record, received.offset, time.monotonic())
        self._seen.set()

    def _lose(self) -> None:
        if self._partition is not None:
            log.warning("reply partition lost", partition=self._partition)
            self._partition = None
            self._on_lost()

    def _tip(self) -> int:
        holder = self._claims.holder(self._partition) if self._partition is not None else None
        return holder.offset if holder else -1

    async def _keep(self) -> None:
        await self._follower.wait_ready()
        try:
            if self._partition is not None and not await self._won(self._partition, self._tip()):
                self._lose()
            if self._partition is None:
                await self._claim()
        finally:
            if self.held is None:
                self._lose()

    async def _claim(self) -> None:
        found = self._claims.to_claim(self._partitions, time.monotonic())
        if found is None:
            log.warning("all reply partitions are taken; waiting for one", count=self._partitions)
            return
        partition, supersedes = found
        if await self._won(partition, supersedes):
            self._partition = partition
            log.info("reply partition claimed", partition=partition)
            self._on_claimed(partition)
        else:
            # A rival was faster; another partition may be free.
            self.background.wake()

    async def _won(self, partition: int, supersedes: int) -> bool:
        sent_at_s = time.monotonic()
        async with asyncio.timeout(ANSWER_WITHIN_S):
            offset = await self._publish("claim", partition, supersedes)
            while self._follower.position(topics.CLAIMS, 0) <= offset:
                self._seen.clear()
                await self._seen.wait()
        holder = self._claims.holder(partition)
        won = holder is not None and holder.ingress_id == self._ingress_id and not holder.released
        if won:
            self._sent_at_s = sent_at_s
        return won

    async def _publish(self, action: Literal["claim", "release"], partition: int, supersedes: int) -> int:
        claim = PartitionClaimed(
            partition=partition,
            ingress_id=self._ingress_id,
            action=action,
            claimed_at_ms=now_ms(),
            lease_ms=int(LEASE_S * 1000),
            supersedes=supersedes,
        )
        acknowledgement = await self._producer.publish(topics.CLAIMS, claim)
        await settle([acknowledgement])
        offset: int = acknowledgement.result().offset
        return offset
