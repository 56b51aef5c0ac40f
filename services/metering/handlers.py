"""Usage and orders in, ledger entries out."""

from collections.abc import Sequence

import structlog

from contracts.clock import now_ms
from contracts.credit import CreditOrdered, CreditSettingsSet
from contracts.usage import UsageRecorded
from libs.bus.processor import Processor, RetryLater
from libs.bus.records import Received
from libs.config.versions import CatalogVersions
from libs.database.outbox import Outbox
from libs.database.pool import AWAY
from libs.pricing.charging import UNPRICED
from libs.runtime.background import Repeated
from libs.telemetry.instruments import COST, ENDED
from libs.telemetry.tracing import Step, batch_span
from services.metering.core.pricing import charge
from services.metering.store.ledger import Ledger
from services.metering.store.rows import Metered

log = structlog.get_logger()


class MeteringProcessor(Processor[UsageRecorded | CreditOrdered]):
    """Writes a batch to the ledger. It may come again; nothing counts twice."""

    def __init__(self, ledger: Ledger, outbox: Outbox, versions: CatalogVersions) -> None:
        self._ledger = ledger
        self._outbox = outbox
        self._versions = versions

    async def process(self, batch: Sequence[Received[UsageRecorded | CreditOrdered]]) -> None:
        """Raises RetryLater while the database is away: the log holds the work."""
        now = now_ms()
        metered: list[Metered] = []
        steps: list[Step] = []
        orders: list[CreditOrdered] = []
        for received in batch:
            record = received.record
            if isinstance(record, CreditOrdered):
                orders.append(record)
                continue
            step = Step("metering post", received.traceparent)
            await self._versions.known(record.catalog_version)
            cost = self._versions.cost(record)
            if cost.price_version == UNPRICED:
                log.error("usage has no price", request_id=record.request_id, catalog_version=record.catalog_version)
            posted = charge(record, cost, now)
            step.note({"sluice.cost.microdollars": posted.cost_microdollars})
            steps.append(step)
            metered.append(Metered(record, posted, step.traceparent, cost.price))
        try:
            if metered:
                with batch_span("metering write", [one.traceparent for one in metered]):
                    await self._ledger.write(metered)
            for order in orders:
                await self._ledger.order(order)
        except AWAY as error:
            raise RetryLater(f"the ledger's database is away ({type(error).__name__})") from None
        for step in steps:
            step.end()
        for one in metered:
            ENDED.add(1, one.usage.model, one.usage.outcome.value)
            COST.add(one.charge.cost_microdollars, one.usage.model, one.usage.provider_id or "none")
        self._outbox.wake()


class AlertChecks:
    """Checks balances whose owners' settings changed; charges and top-ups are checked when they are entered."""

    def __init__(self, ledger: Ledger, outbox: Outbox) -> None:
        self._ledger = ledger
        self._outbox = outbox
        self._owners: set[str] = set()
        self.background = Repeated("check balances", self._check)

    def changed(self, owner: str, settings: CreditSettingsSet | None) -> None:
        """An owner's settings are new, or gone."""
        if settings:
            self._owners.add(owner)
            self.background.wake()

    async def _check(self) -> None:
        owners, self._owners = self._owners, set()
        if not owners:
            return
        try:
            await self._ledger.check(owners)
        except BaseException:
            self._owners |= owners
            raise
        self._outbox.wake()
