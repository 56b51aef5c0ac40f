"""The relay's key pairs: a new one every hour, and nothing that is under way is lost by it."""

import asyncio

import pytest

from contracts.clock import now_ms
from libs.sealing.grants import open_grant
from libs.sealing.hybrid import SealError
from libs.sealing.secret import Secret
from services.key_vault.core.epochs import Epochs
from services.relay import grants as relay_grants
from services.relay.grants import KEY_PAIR_MS, Grants


def _tell(epochs: Epochs, grants: Grants, now: int) -> None:
    epochs.relay_changed("r", grants.announcement(now), now)
    for name, record in epochs.sealed(now).items():
        grants.epoch_key_sealed(name, record)


def test_a_new_pair_every_hour_and_the_old_epoch_key_still_opens() -> None:
    now = now_ms()
    epochs, grants = Epochs(now), Grants("r")
    first = grants.announcement(now)
    assert grants.announcement(now + KEY_PAIR_MS - 1) == first
    _tell(epochs, grants, now)
    assert grants.ready
    old = epochs.current.seal(Secret("sk-x"), request_id="1", provider_id="p", expires_at_ms=now_ms() + 10_000)
    second = grants.announcement(now + KEY_PAIR_MS)
    assert second.public_key != first.public_key
    assert asyncio.run(grants.open(old, "1")).reveal() == "sk-x"
    # A vault that has not heard of the new pair yet seals to the old one.
    late = Epochs(now)
    late.relay_changed("r", first, now)
    for name, record in late.sealed(now).items():
        grants.epoch_key_sealed(name, record)
    sealed = late.current.seal(Secret("sk-y"), request_id="2", provider_id="p", expires_at_ms=now_ms() + 10_000)
    assert asyncio.run(grants.open(sealed, "2")).reveal() == "sk-y"
    assert open_grant(sealed, late.current.key, request_id="2", now_ms=now_ms()).reveal() == "sk-y"


def test_a_grant_of_an_unknown_epoch_is_waited_for_and_then_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_grants, "EPOCH_KEY_WITHIN_S", 0.01)
    epochs, grants = Epochs(now_ms()), Grants("r")
    sealed = epochs.current.seal(Secret("sk-x"), request_id="1", provider_id="p", expires_at_ms=now_ms() + 10_000)
    with pytest.raises(SealError, match="did not arrive"):
        asyncio.run(grants.open(sealed, "1"))


def test_another_relay_s_epoch_key_is_not_taken() -> None:
    now = now_ms()
    epochs, grants, other = Epochs(now), Grants("r"), Grants("other")
    epochs.relay_changed("other", other.announcement(now), now)
    grants.announcement(now)
    for name, record in epochs.sealed(now).items():
        grants.epoch_key_sealed(name, record)
        grants.epoch_key_sealed(name, record.model_copy(update={"relay_id": "r"}))
    assert not grants.ready
