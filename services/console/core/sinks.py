"""Sinks as the console shows them: the reports of a sink's processes added up. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from contracts.sinks import SinkBackfillOrdered, SinkCondition, SinkReported

Condition = SinkCondition | Literal["silent"]
_WORST_FIRST: tuple[SinkCondition, ...] = ("paused", "retrying", "starting", "running")


@dataclass(frozen=True, slots=True)
class SinkShown:
    """One sink. Counts are of the life of its processes."""

    name: str
    kind: str
    records: list[str]
    condition: Condition
    """The worst of its processes; ``silent`` where none has reported lately."""
    processes: int
    """That have."""
    lag: int
    """Records that it has not taken yet."""
    delivered: int
    dead_letters: int
    failures: int
    last_error: str
    last_delivered_at_ms: int | None
    reported_at_ms: int
    group: str
    """The consumer group of its dead letters and its position."""
    backfill: SinkBackfillOrdered | None
    """The last one that was ordered."""


def shown(reports: Iterable[SinkReported], orders: Mapping[str, SinkBackfillOrdered], now_ms: int) -> list[SinkShown]:
    """Sinks by name. A process that is silent counts only where all of its sink are."""
    by_name = sorted(reports, key=lambda one: (one.sink, one.process))
    return [_sink(list(of_one), orders.get(name), now_ms) for name, of_one in groupby(by_name, lambda one: one.sink)]


def _sink(reports: list[SinkReported], order: SinkBackfillOrdered | None, now_ms: int) -> SinkShown:
    alive = [one for one in reports if not one.silent(now_ms)]
    newest = max(reports, key=lambda one: one.reported_at_ms)
    counted = alive or [newest]
    failing = max((one for one in counted if one.last_error), key=lambda one: one.reported_at_ms, default=newest)
    return SinkShown(
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
        last_delivered_at_ms=max(one.last_delivered_at_ms for one in counted) or None,
        reported_at_ms=newest.reported_at_ms,
        group=newest.group,
        backfill=order,
    )
