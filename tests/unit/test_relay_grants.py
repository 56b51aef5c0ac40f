"""The relay's key pairs: a new one every hour, and nothing that is under way is lost by it."""

import asyncio

import pytest

from contracts.clock import now_ms
from libs.sealing.grants import open_grant
from libs.sealing.hybrid import SealError
from libs.sealing.secret import Secret
from services.key_vault.core.epochs import Epochs
from services.relay import grants as relay_grants
from services.relay.grants import KEY_PAIR_MS, LOST_KEPT_MS, Grants


def _partition_of(request_id: str) -> int:
    return int(request_id)


def _grants(relay_id: str) -> Grants:
    grants = Grants(relay_id, _partition_of)
    grants.own({1, 2}, 0)
    return grants


def _tell(epochs: Epochs, grants: Grants, now: int) -> None:
    epochs.relay_changed("r", grants.announcement(now), now)
    for name, record in epochs.sealed(now).items():
        grants.keys_sealed(name, record)


def test_a_new_pair_every_hour_and_the_old_epoch_key_still_opens() -> None:
    now = now_ms()
    epochs, grants = Epochs(now, _partition_of, 4), _grants("r")
    first = grants.announcement(now)
    assert grants.announcement(now + KEY_PAIR_MS - 1) == first
    _tell(epochs, grants, now)
    assert grants.ready
    old = epochs.current.seal(Secret("sk-x"), request_id="1", provider_id="p", expires_at_ms=now_ms() + 10_000)
    second = grants.announcement(now + KEY_PAIR_MS)
    assert second.public_key != first.public_key
    assert asyncio.run(grants.open(old, "1")).reveal() == "sk-x"
    # A vault that has not heard of the new pair yet seals to the old one.
    late = Epochs(now, _partition_of, 4)
    late.relay_changed("r", first, now)
    for name, record in late.sealed(now).items():
        grants.keys_sealed(name, record)
    sealed = late.current.seal(Secret("sk-y"), request_id="2", provider_id="p", expires_at_ms=now_ms() + 10_000)
    assert asyncio.run(grants.open(sealed, "2")).reveal() == "sk-y"
    assert open_grant(sealed, late.current.key(2), request_id="2", now_ms=now_ms()).reveal() == "sk-y"


def test_a_grant_of_an_unknown_epoch_is_waited_for_and_then_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_grants, "KEYS_WITHIN_S", 0.01)
    epochs, grants = Epochs(now_ms(), _partition_of, 4), _grants("r")
    sealed = epochs.current.seal(Secret("sk-x"), request_id="1", provider_id="p", expires_at_ms=now_ms() + 10_000)
    with pytest.raises(SealError, match="did not arrive"):
        asyncio.run(grants.open(sealed, "1"))


def test_another_relay_s_epoch_key_is_not_taken() -> None:
    now = now_ms()
    epochs, grants, other = Epochs(now, _partition_of, 4), _grants("r"), _grants("other")
    epochs.relay_changed("other", other.announcement(now), now)
    grants.announcement(now)
    for name, record in epochs.sealed(now).items():
        grants.keys_sealed(name, record)
        grants.keys_sealed(name, record.model_copy(update={"relay_id": "r"}))
    assert not grants.ready


async def test_a_partition_that_comes_has_its_keys_and_one_that_goes_loses_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay_grants, "KEYS_WITHIN_S", 0.01)
    now = now_ms()
    epochs, grants = Epochs(now, _partition_of, 4), _grants("r")
    _tell(epochs, grants, now)

    async def opens(request_id: str) -> bool:
        lasting = {"provider_id": "p", "expires_at_ms": now + 3_600_000}
        sealed = epochs.current.seal(Secret("sk"), request_id=request_id, **lasting)  # type: ignore[arg-type]
        try:
            return (await grants.open(sealed, request_id)).reveal() == "sk"
        except SealError:
            return False

    assert [await opens(str(number)) for number in range(4)] == [False, True, True, False]
    grants.own({2, 3}, now)
    assert not grants.ready, "the keys of 3 are on their way"
    _tell(epochs, grants, now)
    assert grants.ready
    assert [await opens(str(number)) for number in range(4)] == [False, True, True, True], "what runs here ends here"
    _tell(epochs, grants, now + LOST_KEPT_MS)
    assert [await opens(str(number)) for number in range(4)] == [False, False, True, True]
    grants.own({1, 2, 3}, now + LOST_KEPT_MS)
    _tell(epochs, grants, now + LOST_KEPT_MS)
    assert await opens("1")
