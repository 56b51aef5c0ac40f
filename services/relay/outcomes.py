"""Reports twice a second what became of calls, so that all routers know how providers do."""

from contracts import topics
from contracts.clock import now_ms
from libs.bus.producer import Producer, settle
from libs.runtime.background import Repeated
from services.relay.core.tally import Tally

EVERY_S = 0.5


def reporting(producer: Producer, tally: Tally, relay_id: str) -> Repeated:
    """Publishes the tally. A report that the log does not take is lost: the next says what matters then."""

    async def report() -> None:
        counts = list(tally.take(relay_id, now_ms()))
        await settle([await producer.publish(topics.OUTCOMES, counted) for counted in counts])

    return Repeated("report outcomes", report, every_s=EVERY_S)
