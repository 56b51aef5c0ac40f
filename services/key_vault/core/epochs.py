"""The vault's epochs, and the relays to which their keys are sealed. No I/O; the time is an argument."""

import secrets
from collections.abc import Callable

import structlog

from contracts.control import EpochKeySealed, RelayAnnounced
from libs.sealing.grants import Epoch
from libs.sealing.hybrid import SealError

log = structlog.get_logger()

EPOCH_MS = 3600 * 1000
KEPT_AFTER_MS = 3600 * 1000
"""Relays may open grants of an epoch for this long after it ended."""


class Epochs:
    """Draws an epoch every hour, and seals for every relay that announces itself the keys of its partitions.

    A relay that takes a partition over has its keys of the former epoch, too: requests that were granted then may be
    under way.
    """

    def __init__(self, now_ms: int, partition_of: Callable[[str], int], partitions: int) -> None:
        """
        Args:
            partition_of: of ``gateway.routes``, for a request's ID.
            partitions: how many it has.
        """
        self._partition_of = partition_of
        self._partitions = partitions
        self._relays: dict[str, RelayAnnounced] = {}
        self._sealed: dict[str, EpochKeySealed] = {}
        self._epochs: list[tuple[Epoch, int]] = []
        """Each with its end, the newest last."""
        self._draw(now_ms)

    @property
    def current(self) -> Epoch:
        """That grants are sealed under."""
        return self._epochs[-1][0]

    def _draw(self, now_ms: int) -> None:
        kept = [(epoch, ends) for epoch, ends in self._epochs if ends + KEPT_AFTER_MS > now_ms]
        self._epochs = [*kept, (Epoch.generate(secrets.token_hex(8), self._partition_of), now_ms + EPOCH_MS)]
        self._relays = {name: relay for name, relay in self._relays.items() if relay.expires_at_ms > now_ms}
        for relay_id, relay in self._relays.items():
            self._seal(relay_id, relay, *self._epochs[-1])

    def relay_changed(self, relay_id: str, relay: RelayAnnounced | None, now_ms: int) -> None:
        """Called by the view of ``control.relays``. A relay that withdrew, or whose time is over, is given nothing."""
        if relay is None or relay.expires_at_ms <= now_ms:
            self._relays.pop(relay_id, None)
            self._sealed = {key: record for key, record in self._sealed.items() if record.relay_id != relay_id}
        elif self._relays.get(relay_id) != relay:
            self._relays[relay_id] = relay
            for epoch, ends_at_ms in self._epochs:
                self._seal(relay_id, relay, epoch, ends_at_ms)

    def sealed(self, now_ms: int) -> dict[str, EpochKeySealed]:
        """What should be on ``control.grant-keys`` now; draws a new secret where the epoch is over."""
        if now_ms >= self._epochs[-1][1]:
            self._draw(now_ms)
        self._epochs = [(epoch, ends) for epoch, ends in self._epochs if ends + KEPT_AFTER_MS > now_ms]
        self._sealed = {key: record for key, record in self._sealed.items() if record.expires_at_ms > now_ms}
        return self._sealed

    def _seal(self, relay_id: str, relay: RelayAnnounced, epoch: Epoch, ends_at_ms: int) -> None:
        partitions = sorted({one for one in relay.partitions if one < self._partitions})
        try:
            sealed_key = epoch.seal_keys(relay.public_key, relay_id=relay_id, partitions=partitions)
        except SealError:
            log.error("relay announced an unusable key", relay_id=relay_id)
            return
        record = EpochKeySealed(
            sealed_id=f"{epoch.epoch_id}/{relay_id}",
            epoch_id=epoch.epoch_id,
            relay_id=relay_id,
            partitions=partitions,
            sealed_key=sealed_key,
            expires_at_ms=ends_at_ms + KEPT_AFTER_MS,
        )
        self._sealed[record.sealed_id] = record
