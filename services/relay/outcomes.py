"""Reports twice a second what became of calls, so that all routers know how providers do."""

from contracts import topics
from contracts.clock import now_ms
from libs.bus.producer import Producer, settle
from libs.runtime.background import Repeated
from services.relay.core.key_uses import KeyUses
from services.relay.core.tally import Tally

EVERY_S = 0.5


def reporting(producer: Producer, tally: Tally, uses: KeyUses, relay_id: str) -> Repeated:
    """Publishes the tally, and what keys with quotas were used for. A report that the log does not take is lost: the
    next says what matters then, and sums are said in whole."""

    async def report() -> None:
        counts = list(tally.take(relay_id, now_ms()))
        await settle([await producer.publish(topics.OUTCOMES, counted) for counted in counts])
        await settle([await producer.publish(topics.PROVIDER_KEY_USES, used) for used in uses.take()])

    return Repeated("report outcomes", report, every_s=EVERY_S)
