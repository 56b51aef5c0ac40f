"""One sink at work: its consumer group, which a backfill changes, and what is reported of it."""

import asyncio
from collections.abc import Iterator
from typing import Any

import structlog

from contracts import topics
from contracts.clock import now_ms
from contracts.services import SINK_GROUP
from contracts.sinks import SinkBackfillOrdered, SinkCondition, SinkReported
from libs.bus.group import GroupMember
from libs.bus.producer import settle
from libs.bus.service import Service
from libs.bus.views import View
from libs.config.sinks import SinkConfig
from libs.runtime.background import Repeated
from libs.telemetry.instruments import LAG
from libs.telemetry.metrics import Labels
from services.sinks.processor import Tally
from services.sinks.receivers import TOPICS, Receiver

log = structlog.get_logger()

REPORT_EVERY_S = 1.0
REPORT_AT_LEAST_MS = 10_000


class Delivery:
    """Reads for one sink. A backfill is a new group that begins at its time; the former one's offsets are forgotten."""

    def __init__(
        self, service: Service, name: str, config: SinkConfig, receiver: Receiver, orders: View[SinkBackfillOrdered]
    ) -> None:
        self._service = service
        self._name = name
        self._config = config
        self._receiver = receiver
        self._orders = orders
        self._began_ms = now_ms()
        self._topics = tuple(TOPICS[kind] for kind in config.records)
        self._tally = Tally(name)
        self._member: GroupMember[Any] | None = None
        self._number = -1
        self._dead_letters = 0
        self._reported: SinkReported | None = None
        self._switching = asyncio.Lock()
        self.background = [
            Repeated(f"switch {name}", self._switch, every_s=5),
            Repeated(f"report {name}", self._report, every_s=REPORT_EVERY_S),
        ]
        service.health.lag(lambda: self._member.lag() if self._member else 0)
        service.health.check(f"sink {name}", lambda: bool(self._member and self._member.ready))
        service.health.problem(f"sink {name}", self._problem)
        LAG.observe(f"sink {name}", self._lags)

    async def start(self) -> None:
        """Joins the group; waits for no receiver."""
        await self._receiver.start()
        await self._switch()
        for work in self.background:
            await work.start()

    async def stop(self) -> None:
        """Ends what is under way, commits, and leaves."""
        for work in self.background:
            await work.stop()
        async with self._switching:
            if self._member:
                await self._member.stop()
        await self._receiver.stop()

    def ordered(self) -> None:
        """There may be a new order."""
        self.background[0].wake()

    async def _switch(self) -> None:
        async with self._switching:
            order = self._orders.get(self._name)
            number = order.number if order else 0
            if number == self._number:
                return
            if self._member:
                await self._member.stop()
                self._dead_letters += self._member.dead_letters.written
                self._member = None
            member = self._new_member(order)
            await member.start()
            self._member, self._number = member, number
            log.info("sink reads", sink=self._name, group=member.group.name)

    def _new_member(self, order: SinkBackfillOrdered | None) -> GroupMember[Any]:
        begin_ms = self._began_ms if self._config.start == "now" else None
        return self._service.member(
            SINK_GROUP.child(f"{self._name}.{order.number}" if order else self._name, self._topics),
            lambda work: self._receiver.processor(work, self._tally),
            begin_ms=order.from_ms if order else begin_ms,
            most_records=self._receiver.most_records,
            tick_s=self._receiver.tick_s,
        )

    def _problem(self) -> str | None:
        if self._member and self._member.paused:
            return self._member.paused
        return f"its receiver takes nothing: {self._tally.last_error}" if self._tally.in_a_row else None

    def _lags(self) -> Iterator[tuple[float, Labels]]:
        return self._member.lags() if self._member else iter(())

    @property
    def _condition(self) -> SinkCondition:
        if self._member is None or not self._member.ready:
            return "starting"
        if self._member.paused:
            return "paused"
        return "retrying" if self._tally.in_a_row else "running"

    async def _report(self) -> None:
        member = self._member
        written = member.dead_letters.written if member else 0
        report = SinkReported(
            sink=self._name,
            process=self._service.bus.instance or "sinks",
            kind=self._config.kind,
            records=list(self._config.records),
            group=member.group.name if member else "",
            condition=self._condition,
            lag=member.lag() if member else 0,
            delivered=self._tally.delivered,
            dead_letters=self._dead_letters + written,
            failures=self._tally.failures,
            last_error=self._tally.last_error,
            last_delivered_at_ms=self._tally.last_delivered_at_ms,
            reported_at_ms=now_ms(),
        )
        last = self._reported
        if last and report.reported_at_ms - last.reported_at_ms < REPORT_AT_LEAST_MS and _same(report, last):
            return
        await settle([await self._service.producer.publish(topics.SINK_STATES, report)])
        self._reported = report


def _same(one: SinkReported, other: SinkReported) -> bool:
    return one.model_copy(update={"reported_at_ms": other.reported_at_ms}) == other
