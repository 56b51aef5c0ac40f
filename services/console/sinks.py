"""Sinks: how they do, what is to be known, and orders to begin again at a time."""

from aiokafka.errors import KafkaError

from contracts import topics
from contracts.alerts import AlertChanged
from contracts.clock import now_ms
from contracts.sinks import SinkBackfillOrdered, SinkReported
from libs.bus.producer import Producer, settle
from libs.bus.views import View
from services.console.core.sinks import SinkState, shown
from services.console.errors import Away, BadInput, NotFound


class Sinks:
    """What the service ``sinks`` reports; the console learns no receiver's address or secret."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._states: View[SinkReported] = View(topics.SINK_STATES)
        self._orders: View[SinkBackfillOrdered] = View(topics.BACKFILLS)
        self._alerts: View[AlertChanged] = View(topics.ALERTS)
        self.views = (self._states, self._orders, self._alerts)

    def rows(self) -> list[SinkState]:
        """By name; those of which a process has reported within a day."""
        return shown(self._states.entries.values(), self._orders.entries, now_ms())

    def alerts(self) -> list[AlertChanged]:
        """Those that are raised, the newest first."""
        raised = (one for one in self._alerts.entries.values() if one.raised)
        return sorted(raised, key=lambda one: (one.since_ms, one.state_key), reverse=True)

    async def backfill(self, name: str, from_ms: int, ordered_by: str) -> SinkBackfillOrdered:
        """Orders that a sink is given all records since a time (epoch, ms) once more.

        Raises:
            NotFound: no such sink has reported.
            BadInput: the time is still to come.
            Away: the log does not take the order.
        """
        if name not in {one.sink for one in self._states.entries.values()}:
            raise NotFound(f"no sink {name[:40]!r} has reported")
        number = now_ms()
        if not 0 <= from_ms <= number:
            raise BadInput("a backfill begins at a time that has been")
        order = SinkBackfillOrdered(sink=name, from_ms=from_ms, number=number, ordered_by=ordered_by)
        try:
            await settle([await self._producer.publish(topics.BACKFILLS, order)])
        except KafkaError:
            raise Away("the log does not take the order; try again") from None
        return order
