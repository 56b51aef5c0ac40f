"""Requests in, grants out."""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from contracts import topics
from contracts.clock import now_ms
from contracts.requests import RequestAccepted
from libs.bus.processor import Processor, Work
from libs.bus.records import Received
from libs.config.versions import CatalogVersions
from libs.telemetry.instruments import count_decision
from libs.telemetry.tracing import Step
from services.key_vault.core.epochs import Epochs
from services.key_vault.core.granting import Granting, refused
from services.key_vault.core.vouching import REFUSALS, Vouched, Vouching

log = structlog.get_logger()

WAIT_S = 1.0
MINUTE_WAIT_S = 2.0
LOOK_EVERY_S = 0.01


class GrantingProcessor(Processor[RequestAccepted]):
    """Seals the keys that each request may use. It keeps nothing."""

    def __init__(
        self, work: Work, versions: CatalogVersions, granting: Granting, epochs: Epochs, patience: "Patience"
    ) -> None:
        self._work = work
        self._versions = versions
        self._granting = granting
        self._epochs = epochs
        self._patience = patience

    async def process(self, batch: Sequence[Received[RequestAccepted]]) -> None:
        """Publishes a grant, or a refusal, for each request."""
        epoch = self._epochs.current
        for received in batch:
            step = Step("key-vault grant", received.traceparent)
            catalog = await self._versions.known(received.record.catalog_version)
            refusal = REFUSALS.get(await self._patience.vouched(received.record))
            if refusal is None:
                granted = self._granting.grant(received.record, catalog, epoch)
            else:
                granted = refused(received.record, refusal)
            step.note_refusal(granted.refusal)
            count_decision("key-vault", granted.refusal)
            await self._work.publish(topics.CREDENTIAL_GRANTS, granted, step.traceparent)
            step.end()


class Patience:
    """Waits for what a view here may lack of the ingress's: for one request a second at most, and two in a minute, so
    that whoever can write requests does not hold the vault up."""

    def __init__(self, vouching: Vouching, clock: Callable[[], int] = now_ms) -> None:
        self._vouching = vouching
        self._clock = clock
        self._minute = 0
        self._waited_s = 0.0

    async def vouched(self, request: RequestAccepted) -> Vouched:
        """What the console says of the request's caller."""
        found = self._vouching.check(request, self._clock())
        if found is Vouched.NOT_YET:
            found = await self._later(request)
        if found in (Vouched.NO, Vouched.NOT_YET):
            log.error("nobody vouches for a request's caller", request_id=request.request_id, known=found.value)
        return found

    async def _later(self, request: RequestAccepted) -> Vouched:
        loop = asyncio.get_running_loop()
        if self._minute != (minute := int(loop.time() // 60)):
            self._minute, self._waited_s = minute, 0.0
        began, left_s = loop.time(), min(WAIT_S, MINUTE_WAIT_S - self._waited_s)
        found = Vouched.NOT_YET
        while found is Vouched.NOT_YET and loop.time() - began < left_s:
            await asyncio.sleep(LOOK_EVERY_S)
            found = self._vouching.check(request, self._clock())
        self._waited_s += loop.time() - began
        return found
