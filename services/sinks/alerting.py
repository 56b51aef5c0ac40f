"""Records in, alerts out."""

from collections.abc import Sequence

import structlog

from contracts import topics
from contracts.alerts import AlertChanged
from contracts.clock import now_ms
from contracts.credit import BalanceChanged, BalanceLow, CreditEvent
from contracts.outcomes import OutcomesCounted
from contracts.usage import UsageRecorded
from libs.bus.placing import partition_of
from libs.bus.processor import Processor, Work
from libs.bus.records import Received
from libs.bus.service import Service
from libs.config.sinks import AlertRules
from services.sinks.core.alerts import Alerts
from services.sinks.letters import LetterCount

log = structlog.get_logger()

Watched = UsageRecorded | CreditEvent | BalanceChanged | OutcomesCounted


class AlertProcessor(Processor[Watched]):
    """Alerts of the owners whose partitions these are; of providers and dead letters with the one of outcomes."""

    def __init__(self, service: Service, work: Work, rules: AlertRules, letters: LetterCount) -> None:
        self._service = service
        self._work = work
        self._alerts = Alerts(rules)
        self._letters = letters

    async def load(self) -> None:
        """Takes the alerts that are raised from the log."""
        async for found in self._service.recover(topics.ALERTS):
            if isinstance(found, Received) and self._is_ours(found.record):
                self._alerts.load(found.record)

    async def process(self, batch: Sequence[Received[Watched]]) -> None:
        """Publishes what a batch raises and ends."""
        for received in batch:
            for alert in self._of(received.record):
                await self._publish(alert)

    async def tick(self) -> None:
        """Repeats, ends what has become quiet, and counts dead letters."""
        now = now_ms()
        due = self._alerts.tick(now)
        if self._work.partitions_of(topics.OUTCOMES) and self._letters.known:
            due += self._alerts.letters(self._letters.unresolved, now)
        for alert in due:
            await self._publish(alert)

    def _of(self, record: Watched) -> list[AlertChanged]:
        match record:
            case UsageRecorded():
                if record.status in (402, 429) and not record.provider_id:
                    return self._alerts.refused(record.subject, record.status, record.ended_at_ms)
            case BalanceLow():
                return self._alerts.balance_low(
                    record.owner,
                    record.balance_microdollars,
                    record.below_microdollars,
                    record.noticed_at_ms,
                    version=record.balance_version,
                )
            case BalanceChanged():
                return self._alerts.balance(record.owner, record.balance_microdollars, now_ms(), version=record.version)
            case OutcomesCounted():
                return self._alerts.calls(record.provider_id, record.answered, record.failed, record.counted_at_ms)
        return []

    def _is_ours(self, alert: AlertChanged) -> bool:
        if not alert.about.startswith(("org:", "acct:")):
            return bool(self._work.partitions_of(topics.OUTCOMES))
        home = partition_of(self._service.bus, topics.CREDIT, alert.about)
        return home in self._work.partitions_of(topics.CREDIT)

    async def _publish(self, alert: AlertChanged) -> None:
        log.warning("alert", kind=alert.kind, about=alert.about, raised=alert.raised, number=alert.number)
        await self._work.publish(topics.ALERTS, alert)
