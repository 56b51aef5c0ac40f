"""What partitions must know before their first decision, read back from the log."""

from typing import Any

from contracts import topics
from contracts.topic import Topic
from contracts.usage import UsageRecorded
from libs.bus.processor import Work
from libs.bus.records import Deleted, Received
from libs.bus.service import Service
from services.rate_limit.core.balances import Balances, day_of
from services.rate_limit.partition import Partitions

_STATES: tuple[Topic[Any], ...] = (topics.BALANCES, topics.SPENDING)
_FACTS: tuple[Topic[Any], ...] = (topics.USAGE, topics.CHARGES)


async def recover(
    service: Service, work: Work, partitions: Partitions, balances: Balances, since_ms: int, now_ms: int
) -> None:
    """Fills partitions: what compacted topics keep of them, then what has been decided and used since.

    Args:
        since_ms: no request of before then is under way. All that has ended and is not charged must be held before the
            first decision, however old: its offset was not committed.
    """
    owned = work.partitions_of(topics.REQUESTS)
    async for state in service.recover(topics.QUOTA_STATE, partitions=owned):
        if isinstance(state, Deleted):
            partitions[state.partition].windows.pop(state.key, None)
        else:
            partitions[state.partition].restore_window(state.record, now_ms)
    for states in _STATES:
        async for found in service.recover(states, partitions=owned):
            if isinstance(found, Received):
                partitions[found.partition].on_state(found.record)
    balances.forget(day_of(since_ms))
    async for saved in service.recover(topics.METERS, partitions=owned):
        if isinstance(saved, Received):
            partitions[saved.partition].restore_meters(saved.record)
    async for verdict in service.recover(topics.QUOTA_DECISIONS, partitions=owned, since_ms=since_ms):
        if isinstance(verdict, Received):
            partitions[verdict.partition].restore_verdict(verdict.record)
    begin_at = {number: work.begins_at(topics.USAGE, number) for number in owned}
    for facts in _FACTS:
        begins = begin_at if facts is topics.USAGE else None
        async for found in service.recover(facts, partitions=owned, since_ms=since_ms, begin_at=begins):
            if not isinstance(found, Received):
                continue
            part = partitions[found.partition]
            if isinstance(found.record, UsageRecorded):
                part.on_log.add(found.record.request_id)
                part.on_usage(found.record, found.offset, now_ms)
            else:
                part.on_charge(found.record, now_ms)
