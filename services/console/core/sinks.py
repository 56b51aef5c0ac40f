"""Sinks as the operator sees them: the reports of a sink's processes added up. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import groupby
from typing import Literal

from contracts.sinks import SinkBackfillOrdered, SinkCondition, SinkReported
from services.console.answers import Answer, time_of

Condition = SinkCondition | Literal["silent"]
_WORST_FIRST: tuple[SinkCondition, ...] = ("paused", "retrying", "starting", "running")


class Backfill(Answer):
    """From when on a sink was to be given everything once more."""

    since: datetime
    ordered_by: str
    ordered_at: datetime


class SinkState(Answer):
    """One sink, over all its processes. Counts are of their life."""

    name: str
    kind: str
    records: list[str]
    """``usage``, ``charges``, ``credit``, ``alerts``."""
    condition: Condition
    """The worst of its processes; ``silent``: none of them has reported for 30 s."""
    processes: int
    """That have."""
    lag: int
    """Records that it has not taken yet."""
    delivered: int
    dead_letters: int
    failures: int
    """Attempts that are made again."""
    last_error: str
    last_delivered_at: datetime | None
    reported_at: datetime
    group: str
    """The consumer group of its position and its dead letters."""
    backfill: Backfill | None
    """The last one that was ordered."""


def shown(reports: Iterable[SinkReported], orders: Mapping[str, SinkBackfillOrdered], now_ms: int) -> list[SinkState]:
    """Sinks by name. A process that is silent counts only where all of its sink are."""
    by_name = sorted(reports, key=lambda one: (one.sink, one.process))
    return [_sink(list(of_one), orders.get(name), now_ms) for name, of_one in groupby(by_name, lambda one: one.sink)]


def backfill_of(order: SinkBackfillOrdered) -> Backfill:
    """An order as it is shown."""
    return Backfill(since=time_of(order.from_ms), ordered_by=order.ordered_by, ordered_at=time_of(order.number))


def _sink(reports: list[SinkReported], order: SinkBackfillOrdered | None, now_ms: int) -> SinkState:
    alive = [one for one in reports if not one.silent(now_ms)]
    newest = max(reports, key=lambda one: one.reported_at_ms)
    counted = alive or [newest]
    failing = max((one for one in counted if one.last_error), key=lambda one: one.reported_at_ms, default=newest)
    delivered_ms = max(one.last_delivered_at_ms for one in counted)
    return SinkState(
        name=newest.sink,
        kind=newest.kind,
        records=newest.records,
        condition=min((one.condition for one in alive), key=_WORST_FIRST.index, default="silent"),
        processes=len(alive),
        lag=sum(one.lag for one in counted),
        delivered=sum(one.delivered for one in counted),
        dead_letters=sum(one.dead_letters for one in counted),
        failures=sum(one.failures for one in counted),
        last_error=failing.last_error,
        last_delivered_at=time_of(delivered_ms) if delivered_ms else None,
        reported_at=time_of(newest.reported_at_ms),
        group=newest.group,
        backfill=backfill_of(order) if order else None,
    )
