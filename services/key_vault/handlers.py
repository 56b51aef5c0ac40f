"""Requests in, grants out."""

from collections.abc import Sequence

from contracts import topics
from contracts.requests import RequestAccepted
from libs.bus.processor import Processor, Work
from libs.bus.records import Received
from libs.config.versions import CatalogVersions
from libs.telemetry.instruments import count_decision
from libs.telemetry.tracing import Step
from services.key_vault.core.epochs import Epochs
from services.key_vault.core.granting import Granting


class GrantingProcessor(Processor[RequestAccepted]):
    """Seals the keys that each request may use. It keeps nothing."""

    def __init__(self, work: Work, versions: CatalogVersions, granting: Granting, epochs: Epochs) -> None:
        self._work = work
        self._versions = versions
        self._granting = granting
        self._epochs = epochs

    async def process(self, batch: Sequence[Received[RequestAccepted]]) -> None:
        """Publishes a grant, or a refusal, for each request."""
        epoch = self._epochs.current
        for received in batch:
            step = Step("key-vault grant", received.traceparent)
            catalog = await self._versions.known(received.record.catalog_version)
            granted = self._granting.grant(received.record, catalog, epoch)
            step.note_refusal(granted.refusal)
            count_decision("key-vault", granted.refusal)
            await self._work.publish(topics.CREDENTIAL_GRANTS, granted, step.traceparent)
            step.end()
