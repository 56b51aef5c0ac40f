"""The relay's key pair and the keys of its partitions that vaults sealed for it."""

import asyncio
import contextlib
from collections.abc import Callable, Collection
from dataclasses import dataclass

import structlog

from contracts.clock import now_ms
from contracts.control import EpochKeySealed, RelayAnnounced
from contracts.decisions import SealedGrant
from libs.sealing.grants import PartitionKeys, RelayKeyPair, open_grant
from libs.sealing.hybrid import SealError
from libs.sealing.secret import Secret

log = structlog.get_logger()

KEY_PAIR_MS = 3600 * 1000
KEYS_WITHIN_S = 5.0
LOST_KEPT_MS = 600 * 1000
"""Attempts of a partition that another relay has now run on here, and may open further grants of theirs."""


@dataclass(slots=True, repr=False)
class _Held:
    """Of one epoch."""

    answers: bytes
    grants: dict[int, bytes]
    expires_at_ms: int


class Grants:
    """Opens grants. The private key and the partitions' keys live in this process's memory only."""

    def __init__(self, relay_id: str, partition_of: Callable[[str], int]) -> None:
        """
        Args:
            partition_of: of ``gateway.routes``, for a request's ID.
        """
        self._relay_id = relay_id
        self._partition_of = partition_of
        self._pairs: list[RelayKeyPair] = []
        """The newest first; the one before it may still be sealed to."""
        self._announced: RelayAnnounced | None = None
        self._owned: list[int] = []
        self._lost_at_ms: dict[int, int] = {}
        self._epochs: dict[str, _Held] = {}
        self._changed = asyncio.Event()

    def own(self, partitions: Collection[int], now: int) -> None:
        """The partitions of an assignment: the vault is asked for their keys; those of others go after a while."""
        self._lost_at_ms |= dict.fromkeys(set(self._owned) - set(partitions), now)
        self._owned = sorted(partitions)
        self._lost_at_ms = {one: at for one, at in self._lost_at_ms.items() if one not in partitions}

    def announcement(self, now: int) -> RelayAnnounced:
        """What should be on ``control.relays`` now; draws a new key pair every hour."""
        self._forget(now)
        if self._announced is None or now >= self._announced.announced_at_ms + KEY_PAIR_MS:
            self._pairs = [RelayKeyPair(), *self._pairs[:1]]
            self._announced = RelayAnnounced(
                relay_id=self._relay_id,
                public_key=self._pairs[0].public,
                announced_at_ms=now,
                expires_at_ms=now + 2 * KEY_PAIR_MS,
            )
        if self._announced.partitions != self._owned:
            self._announced = self._announced.model_copy(update={"partitions": self._owned})
        return self._announced

    @property
    def ready(self) -> bool:
        """A vault has sealed the keys of all partitions for this relay."""
        return bool(self._epochs) and all(
            any(one in held.grants for held in self._epochs.values()) for one in self._owned
        )

    def keys_sealed(self, _key: str, sealed: EpochKeySealed | None) -> None:
        """Called by the view of ``control.grant-keys``. Deleted keys stay until they expire: grants may need them."""
        if sealed is None or sealed.relay_id != self._relay_id:
            return
        held = self._epochs.get(sealed.epoch_id)
        if held is not None and held.grants.keys() >= set(sealed.partitions):
            return
        keys = self._open(sealed)
        if keys is None:
            log.error("keys refused", epoch_id=sealed.epoch_id)
            return
        known = held.grants if held else {}
        self._epochs[sealed.epoch_id] = _Held(keys.answers, {**known, **keys.grants}, sealed.expires_at_ms)
        self._forget(now_ms())
        self._changed.set()
        self._changed = asyncio.Event()

    def _open(self, sealed: EpochKeySealed) -> PartitionKeys | None:
        for pair in self._pairs:
            with contextlib.suppress(SealError):
                return pair.open_keys(
                    sealed.sealed_key,
                    epoch_id=sealed.epoch_id,
                    relay_id=self._relay_id,
                    partitions=sealed.partitions,
                )
        return None

    def _forget(self, now: int) -> None:
        gone = {one for one, at in self._lost_at_ms.items() if now - at >= LOST_KEPT_MS}
        self._epochs = {epoch: held for epoch, held in self._epochs.items() if held.expires_at_ms > now}
        for held in self._epochs.values():
            for one in gone & held.grants.keys():
                del held.grants[one]

    def secrets(self) -> list[bytes]:
        """One for each epoch, the newest first: vaults give all relays the same, and nobody else any."""
        return [held.answers for held in reversed(self._epochs.values())]

    async def open(self, grant: SealedGrant, request_id: str) -> Secret:
        """The provider key in a grant; waits a little for keys that are still on their way.

        Raises:
            SealError: it does not open, or the keys of its partition never came.
        """
        partition = self._partition_of(request_id)
        key = self._key(grant.epoch_id, partition) or await self._wait_for(grant.epoch_id, partition)
        return open_grant(grant, key, request_id=request_id, now_ms=now_ms())

    def _key(self, epoch_id: str, partition: int) -> bytes | None:
        held = self._epochs.get(epoch_id)
        return held.grants.get(partition) if held else None

    async def _wait_for(self, epoch_id: str, partition: int) -> bytes:
        try:
            async with asyncio.timeout(KEYS_WITHIN_S):
                while (key := self._key(epoch_id, partition)) is None:
                    await self._changed.wait()
                return key
        except TimeoutError:
            raise SealError("the vault's keys for this partition did not arrive") from None
