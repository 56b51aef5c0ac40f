"""Usage and orders in, ledger entries out."""

import asyncio
import contextlib

import structlog

from contracts.clock import now_ms
from contracts.credit import CreditOrdered, CreditSettingsSet
from contracts.usage import UsageRecorded
from libs.bus.consumer import Batch, RetryLater
from libs.database.outbox import Outbox
from libs.database.pool import AWAY
from libs.telemetry.tracing import Step
from services.metering.core.pricing import charge
from services.metering.store import Ledger, Metered

log = structlog.get_logger()


class MeteringHandlers:
    """Writes a batch to the ledger. It may come again; nothing counts twice."""

    def __init__(self, ledger: Ledger, outbox: Outbox) -> None:
        self._ledger = ledger
        self._outbox = outbox

    async def handle(self, batch: Batch) -> None:
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
            assert isinstance(record, UsageRecorded)
            step = Step("metering post", received.traceparent)
            posted = charge(record, now)
            step.note({"sluice.cost.microdollars": posted.cost_microdollars})
            steps.append(step)
            metered.append(Metered(record, posted, step.traceparent))
        try:
            if metered:
                await self._ledger.write(metered)
            for order in orders:
                await self._ledger.order(order)
        except AWAY as error:
            raise RetryLater(f"the ledger's database is away ({type(error).__name__})") from None
        for step in steps:
            step.end()
        self._outbox.wake()


class AlertChecks:
    """Checks balances whose owners' settings changed; charges and top-ups check theirs when they are entered."""

    def __init__(self, ledger: Ledger, outbox: Outbox) -> None:
        self._ledger = ledger
        self._outbox = outbox
        self._owners: set[str] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def changed(self, owner: str, settings: CreditSettingsSet | None) -> None:
        """An owner's settings are new, or gone."""
        if settings:
            self._owners.add(owner)
            self._wake.set()

    async def start(self) -> None:
        """Begins."""
        self._task = asyncio.create_task(self._check_on())

    async def stop(self) -> None:
        """Ends; the next start looks at all."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _check_on(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            owners, self._owners = self._owners, set()
            try:
                await self._ledger.check(owners)
                self._outbox.wake()
            except Exception as error:
                log.warning("balances are looked at again", error=type(error).__name__)
                self._owners |= owners
                self._wake.set()
                await asyncio.sleep(0.5)
