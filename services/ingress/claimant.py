"""Keeps one partition of ``gateway.replies`` for this ingress."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError

from contracts import topics
from contracts.claims import PartitionClaimed
from contracts.clock import now_ms
from libs.bus.dead_letters import DeadLetters
from libs.bus.follower import Follower
from libs.bus.producer import Producer, settle
from libs.bus.settings import BusSettings
from libs.bus.watch import BrokerWatch
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
        self,
        settings: BusSettings,
        watch: BrokerWatch,
        producer: Producer,
        dead_letters: DeadLetters,
        ingress_id: str,
        *,
        on_claimed: Callable[[int], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._producer = producer
        self._dead_letters = dead_letters
        self._ingress_id = ingress_id
        self._on_claimed = on_claimed
        self._on_lost = on_lost
        self._claims = Claims()
        self._seen = asyncio.Event()
        self._sent_at_s = 0.0
        self._partition: int | None = None
        self._task: asyncio.Task[None] | None = None
        self._follower = Follower(
            settings, watch, [(topics.CLAIMS, 0)], self._take, on_new_log=self._forget, fetch_wait_ms=50
        )

    @property
    def held(self) -> int | None:
        """The partition that is surely ours now."""
        if self._partition is not None and time.monotonic() - self._sent_at_s < LEASE_S:
            return self._partition
        return None

    async def start(self) -> None:
        """Begins to claim."""
        await self._follower.start()
        self._task = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Releases the partition, so that the next ingress need not wait for the lease."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self.held is not None:
            with contextlib.suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    await self._say("release", self._partition or 0, self._tip())
        await self._follower.stop()

    def _take(self, raws: "Sequence[ConsumerRecord[Any, Any]]") -> None:
        for raw in raws:
            claim = self._dead_letters.read(raw)
            if claim is None:
                continue
            assert isinstance(claim, PartitionClaimed)
            self._claims.apply(claim, raw.offset, time.monotonic())
        self._seen.set()

    def _forget(self) -> None:
        self._claims = Claims()
        self._lose()

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
        while True:
            try:
                if self._partition is None:
                    await self._claim()
                else:
                    await self._renew(self._partition)
            except Exception as error:
                log.warning("claim is tried again", error=type(error).__name__)
                await asyncio.sleep(0.2)
            if self._partition is not None:
                if self.held is None:
                    self._lose()
                else:
                    await asyncio.sleep(RENEW_S)

    async def _claim(self) -> None:
        found = self._claims.to_claim(self._settings.reply_partitions, time.monotonic())
        if found is None:
            log.warning("all reply partitions are taken; waiting for one", count=self._settings.reply_partitions)
            await asyncio.sleep(RENEW_S)
            return
        partition, supersedes = found
        if await self._won(partition, supersedes):
            self._partition = partition
            log.info("reply partition claimed", partition=partition)
            self._on_claimed(partition)

    async def _renew(self, partition: int) -> None:
        if not await self._won(partition, self._tip()):
            self._lose()

    async def _won(self, partition: int, supersedes: int) -> bool:
        sent_at_s = time.monotonic()
        async with asyncio.timeout(ANSWER_WITHIN_S):
            offset = await self._say("claim", partition, supersedes)
            while self._follower.position(topics.CLAIMS, 0) <= offset:
                self._seen.clear()
                await self._seen.wait()
        holder = self._claims.holder(partition)
        won = holder is not None and holder.ingress_id == self._ingress_id and not holder.released
        if won:
            self._sent_at_s = sent_at_s
        return won

    async def _say(self, action: str, partition: int, supersedes: int) -> int:
        record = PartitionClaimed.model_validate(
            {
                "partition": partition,
                "ingress_id": self._ingress_id,
                "action": action,
                "claimed_at_ms": now_ms(),
                "lease_ms": int(LEASE_S * 1000),
                "supersedes": supersedes,
            }
        )
        sent = await self._producer.send(
            topics.CLAIMS,
            record,
            key=str(partition),
            event_id=f"{self._ingress_id}/{supersedes}",
            subject=self._ingress_id,
            traceparent="",
        )
        await settle([sent])
        offset: int = sent.result().offset
        return offset
