"""The relay's key pair and the epoch keys that vaults sealed for it."""

import asyncio
import contextlib

import structlog
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from contracts.clock import now_ms
from contracts.control import EpochKeySealed, RelayAnnounced
from contracts.decisions import SealedGrant
from libs.sealing.grants import RelayKeyPair, open_grant
from libs.sealing.hybrid import SealError
from libs.sealing.secret import Secret

log = structlog.get_logger()

KEY_PAIR_MS = 3600 * 1000
EPOCH_KEY_WITHIN_S = 5.0


class Grants:
    """Opens grants. The private key and the epoch keys live in this process's memory only."""

    def __init__(self, relay_id: str) -> None:
        self._relay_id = relay_id
        self._pairs: list[RelayKeyPair] = []
        """The newest first; the one before it may still be sealed to."""
        self._announced: RelayAnnounced | None = None
        self._epochs: dict[str, tuple[bytes, int]] = {}
        self._changed = asyncio.Event()

    def announcement(self, now: int) -> RelayAnnounced:
        """What should be on ``control.relays`` now; draws a new key pair every hour."""
        if self._announced is None or now >= self._announced.announced_at_ms + KEY_PAIR_MS:
            self._pairs = [RelayKeyPair(), *self._pairs[:1]]
            self._announced = RelayAnnounced(
                relay_id=self._relay_id,
                public_key=self._pairs[0].public,
                announced_at_ms=now,
                expires_at_ms=now + 2 * KEY_PAIR_MS,
            )
        return self._announced

    @property
    def ready(self) -> bool:
        """A vault has sealed an epoch key for this relay."""
        return bool(self._epochs)

    def epoch_key_sealed(self, _key: str, sealed: EpochKeySealed | None) -> None:
        """Called by the view of ``control.grant-keys``. A deleted key stays until it expires: grants may need it."""
        if sealed is None or sealed.relay_id != self._relay_id or sealed.epoch_id in self._epochs:
            return
        key = self._open_epoch_key(sealed)
        if key is None:
            log.error("epoch key refused", epoch_id=sealed.epoch_id)
            return
        now = now_ms()
        self._epochs = {epoch: held for epoch, held in self._epochs.items() if held[1] > now}
        self._epochs[sealed.epoch_id] = (key, sealed.expires_at_ms)
        self._changed.set()
        self._changed = asyncio.Event()

    def _open_epoch_key(self, sealed: EpochKeySealed) -> bytes | None:
        for pair in self._pairs:
            with contextlib.suppress(SealError):
                return pair.open_epoch_key(sealed.sealed_key, epoch_id=sealed.epoch_id, relay_id=self._relay_id)
        return None

    def secrets(self) -> list[bytes]:
        """One for each epoch, the newest first: vaults give all relays the same, and nobody else any."""
        return [
            HKDF(SHA256(), 32, salt=None, info=b"sluice answer cache").derive(key)
            for key, _ in reversed(self._epochs.values())
        ]

    async def open(self, grant: SealedGrant, request_id: str) -> Secret:
        """The provider key in a grant; waits a little for an epoch key that is still on its way.

        Raises:
            SealError: it does not open, or its epoch key never came.
        """
        if grant.epoch_id not in self._epochs:
            await self._wait_for(grant.epoch_id)
        return open_grant(grant, self._epochs[grant.epoch_id][0], request_id=request_id, now_ms=now_ms())

    async def _wait_for(self, epoch_id: str) -> None:
        try:
            async with asyncio.timeout(EPOCH_KEY_WITHIN_S):
                while epoch_id not in self._epochs:
                    await self._changed.wait()
        except TimeoutError:
            raise SealError("the vault's epoch key did not arrive") from None
