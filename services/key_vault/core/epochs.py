"""The vault's epoch keys, and the relays they are sealed for. No I/O; the time is an argument."""

import secrets

import structlog

from contracts.control import EpochKeySealed, RelayAnnounced
from libs.sealing.grants import EpochKey, seal_epoch_key
from libs.sealing.hybrid import SealError

log = structlog.get_logger()

EPOCH_MS = 3600 * 1000
KEPT_AFTER_MS = 3600 * 1000
"""Relays may open grants of an epoch for this long after it ended."""


class Epochs:
    """Draws an epoch key every hour and seals it for every relay that announces itself."""

    def __init__(self, now_ms: int) -> None:
        self._relays: dict[str, RelayAnnounced] = {}
        self._sealed: dict[str, EpochKeySealed] = {}
        self._draw(now_ms)

    def _draw(self, now_ms: int) -> None:
        self.current = EpochKey.generate(secrets.token_hex(8))
        self._ends_at_ms = now_ms + EPOCH_MS
        self._relays = {name: relay for name, relay in self._relays.items() if relay.expires_at_ms > now_ms}
        for relay_id, relay in self._relays.items():
            self._seal(relay_id, relay)

    def relay_changed(self, relay_id: str, relay: RelayAnnounced | None, now_ms: int) -> None:
        """Called by the view of ``control.relays``. A relay that withdrew, or whose time is over, is given nothing."""
        if relay is None or relay.expires_at_ms <= now_ms:
            self._relays.pop(relay_id, None)
            self._sealed = {key: record for key, record in self._sealed.items() if record.relay_id != relay_id}
        elif self._relays.get(relay_id) != relay:
            self._relays[relay_id] = relay
            self._seal(relay_id, relay)

    def sealed(self, now_ms: int) -> dict[str, EpochKeySealed]:
        """What should be on ``control.grant-keys`` now; draws a new key where the epoch is over."""
        if now_ms >= self._ends_at_ms:
            self._draw(now_ms)
        self._sealed = {key: record for key, record in self._sealed.items() if record.expires_at_ms > now_ms}
        return self._sealed

    def _seal(self, relay_id: str, relay: RelayAnnounced) -> None:
        epoch = self.current
        try:
            sealed_key = seal_epoch_key(epoch.key, relay.public_key, epoch_id=epoch.epoch_id, relay_id=relay_id)
        except SealError:
            log.error("relay announced an unusable key", relay_id=relay_id)
            return
        record = EpochKeySealed(
            sealed_id=f"{epoch.epoch_id}/{relay_id}",
            epoch_id=epoch.epoch_id,
            relay_id=relay_id,
            sealed_key=sealed_key,
            expires_at_ms=self._ends_at_ms + KEPT_AFTER_MS,
        )
        self._sealed[record.sealed_id] = record
