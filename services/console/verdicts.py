"""The verdicts on one request, from the log: two records of its partition, at its time."""

import asyncio
from typing import TypeVar

from aiokafka.errors import KafkaError

from contracts import topics
from contracts.decisions import PolicyDecided, QuotaReserved
from contracts.topic import Topic
from libs.bus.records import Received
from libs.bus.service import Service
from services.console.core.timeline import Verdicts

V = TypeVar("V", PolicyDecided, QuotaReserved)

MOST_AT_ONCE = 4
"""Each has two connections to the broker, and holds one to the database meanwhile."""
MOST_RECORDS = 20_000
"""That are passed over, undecoded."""
WITHIN_S = 3.0
SKEW_MS = 5_000


class VerdictLog:
    """Looks verdicts up when a request's page is opened."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._reading = 0

    async def find(self, request_id: str, subject: str, accepted_ms: int, ended_ms: int) -> Verdicts:
        """What the log still has; nothing where the broker is away or others look: the page does without.

        Args:
            subject: whose quota it used, by which it was partitioned.
        """
        if self._reading >= MOST_AT_ONCE:
            return Verdicts()
        self._reading += 1

        async def read(topic: Topic[V]) -> Received[V] | None:
            return await self._service.find_about(
                topic,
                subject,
                request_id,
                since_ms=max(0, accepted_ms - SKEW_MS),
                until_ms=ended_ms + SKEW_MS,
                most=MOST_RECORDS,
            )

        try:
            async with asyncio.timeout(WITHIN_S):
                policy, quota = await asyncio.gather(read(topics.POLICY_DECISIONS), read(topics.QUOTA_DECISIONS))
        except (KafkaError, TimeoutError):
            return Verdicts()
        finally:
            self._reading -= 1
        return Verdicts(
            policy=(policy.timestamp_ms, policy.record)
            if policy and isinstance(policy.record, PolicyDecided)
            else None,
            quota=(quota.timestamp_ms, quota.record) if quota and isinstance(quota.record, QuotaReserved) else None,
        )
