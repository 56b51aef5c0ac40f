"""The vault's epoch key and the relays it is sealed for."""

import asyncio
import secrets

import structlog

from contracts import topics
from contracts.clock import now_ms
from contracts.control import EpochKeySealed, RelayAnnounced
from libs.bus.producer import Producer, settle
from libs.sealing.grants import EpochKey, SealError, seal_epoch_key

log = structlog.get_logger()

EPOCH_MS = 3600 * 1000
KEPT_AFTER_MS = 3600 * 1000
"""Relays may open grants of an epoch for this long after it ended."""


class Epochs:
    """Draws an epoch key, seals it for every relay that announces itself, and draws a new one every hour."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._relays: dict[str, RelayAnnounced] = {}
        self._unsealed: set[str] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.current = self._draw()

    def _draw(self) -> EpochKey:
        self._ends_at_ms = now_ms() + EPOCH_MS
        self._unsealed = set(self._relays)
        self._wake.set()
        return EpochKey.generate(secrets.token_hex(8))

    def relay_changed(self, relay_id: str, relay: RelayAnnounced | None) -> None:
        """Told by the view of ``control.relays``."""
        if relay is None:
            self._relays.pop(relay_id, None)
            return
        self._relays[relay_id] = relay
        self._unsealed.add(relay_id)
        self._wake.set()

    async def start(self) -> None:
        """Begins to seal."""
        self._task = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Ends; the epoch key dies with the process."""
        if self._task:
            self._task.cancel()

    async def _keep(self) -> None:
        while True:
            try:
                if now_ms() >= self._ends_at_ms:
                    self.current = self._draw()
                await self._seal()
            except Exception as error:
                log.warning("epoch key not published, trying again", error=type(error).__name__)
                await asyncio.sleep(0.2)
                continue
            try:
                await asyncio.wait_for(self._wake.wait(), timeout=60)
            except TimeoutError:
                continue

    async def _seal(self) -> None:
        self._wake.clear()
        epoch, now = self.current, now_ms()
        sealed = []
        for relay_id in list(self._unsealed):
            relay = self._relays.get(relay_id)
            if relay is None or relay.expires_at_ms <= now:
                self._unsealed.discard(relay_id)
                continue
            try:
                sealed_key = seal_epoch_key(epoch.key, relay.public_key, epoch_id=epoch.epoch_id, relay_id=relay_id)
            except SealError:
                log.error("relay announced an unusable key", relay_id=relay_id)
                self._unsealed.discard(relay_id)
                continue
            record = EpochKeySealed(
                sealed_id=f"{epoch.epoch_id}/{relay_id}",
                epoch_id=epoch.epoch_id,
                relay_id=relay_id,
                sealed_key=sealed_key,
                expires_at_ms=self._ends_at_ms + KEPT_AFTER_MS,
            )
            sealed.append(
                await self._producer.send(
                    topics.GRANT_KEYS,
                    record,
                    key=record.sealed_id,
                    event_id=record.sealed_id,
                    subject=relay_id,
                    traceparent="",
                )
            )
        await settle(sealed)
        self._unsealed.clear()
