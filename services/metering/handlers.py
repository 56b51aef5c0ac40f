"""Usage in, ledger entries and charges out."""

from contracts import topics
from contracts.clock import now_ms
from contracts.usage import UsageRecorded
from libs.bus.consumer import Batch, RetryLater
from libs.bus.producer import Producer, settle
from libs.config.catalog import Catalog
from libs.database.pool import AWAY
from libs.telemetry.tracing import Step
from services.metering.pricing import charge
from services.metering.store import Entry, Ledger


class MeteringHandlers:
    """Writes a batch to the ledger, then tells billing. Either may happen again; neither counts twice."""

    def __init__(self, producer: Producer, catalog: Catalog, ledger: Ledger) -> None:
        self._producer = producer
        self._catalog = catalog
        self._ledger = ledger

    async def handle(self, batch: Batch) -> None:
        """Raises RetryLater while the database is away: the log holds the usage."""
        now = now_ms()
        entries: list[Entry] = []
        steps: dict[str, Step] = {}
        for received in batch:
            usage = received.record
            assert isinstance(usage, UsageRecorded)
            steps[usage.request_id] = Step("metering post", received.traceparent)
            entries.append(Entry(usage, charge(usage, self._catalog, now)))
        try:
            charges = await self._ledger.write(entries)
        except AWAY as error:
            raise RetryLater(f"the ledger's database is away ({type(error).__name__})") from None
        sent = []
        for posted in charges:
            step = steps[posted.charge_id]
            step.note({"sluice.cost.microdollars": posted.cost_microdollars})
            step.end()
            sent.append(
                await self._producer.send(
                    topics.CHARGES,
                    posted,
                    key=posted.subject,
                    event_id=posted.charge_id,
                    subject=posted.charge_id,
                    traceparent=step.traceparent,
                )
            )
        await settle(sent)
