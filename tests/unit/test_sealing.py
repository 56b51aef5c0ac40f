"""Tampering: any flipped bit, wrong owner or wrong time is a refusal, never a wrong key."""

import base64
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.sealing.credentials import masked_tail, open_credential, seal_credential
from libs.sealing.envelope import Envelope, EnvelopeError, KeyRing, LocalKeys
from libs.sealing.grants import Epoch, RelayKeyPair, open_grant
from libs.sealing.hybrid import KeyPair, SealError
from libs.sealing.secret import Secret

SECRET = Secret("sk-canary-1234567890")
EPOCH = Epoch.generate("epoch-1", lambda _: 0)
GRANT = EPOCH.seal(SECRET, request_id="r1", provider_id="openai", expires_at_ms=1_000)
RING = KeyRing(LocalKeys({"v2": b"2" * 32, "v1": b"1" * 32}))
PAIR = RelayKeyPair()
VAULT = KeyPair.generate()
SEALED = EPOCH.seal_keys(PAIR.public, relay_id="relay-1", partitions=[0, 2])
MINE: dict[str, Any] = {"epoch_id": "epoch-1", "relay_id": "relay-1", "partitions": [0, 2]}


def _flip(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8 % len(data)] ^= 1 << bit % 8
    return bytes(changed)


def test_a_grant_opens_for_its_request_alone() -> None:
    assert open_grant(GRANT, EPOCH.key(0), request_id="r1", now_ms=999).reveal() == SECRET.reveal()
    with pytest.raises(SealError):
        open_grant(GRANT, EPOCH.key(0), request_id="r2", now_ms=0)
    with pytest.raises(SealError, match="expired"):
        open_grant(GRANT, EPOCH.key(0), request_id="r1", now_ms=1_000)
    for change in ({"provider_id": "xai"}, {"expires_at_ms": 2_000}, {"byok": True}, {"nonce": "!"}):
        with pytest.raises(SealError):
            open_grant(GRANT.model_copy(update=change), EPOCH.key(0), request_id="r1", now_ms=0)
    with pytest.raises(SealError):
        open_grant(GRANT, Epoch.generate("other", lambda _: 0).key(0), request_id="r1", now_ms=0)


@given(st.integers(0, 10_000), st.booleans())
def test_no_flipped_bit_of_a_grant_opens(bit: int, in_nonce: bool) -> None:
    field = "nonce" if in_nonce else "ciphertext"
    changed = base64.b64encode(_flip(base64.b64decode(getattr(GRANT, field)), bit)).decode()
    with pytest.raises(SealError):
        open_grant(GRANT.model_copy(update={field: changed}), EPOCH.key(0), request_id="r1", now_ms=0)


@settings(max_examples=30)
@given(st.integers(0, 100_000))
def test_no_flipped_bit_of_an_epoch_key_opens(bit: int) -> None:
    changed = base64.b64encode(_flip(base64.b64decode(SEALED), bit)).decode()
    with pytest.raises(SealError):
        PAIR.open_keys(changed, **MINE)


def test_an_epoch_s_keys_open_for_their_relay_and_partitions_alone() -> None:
    assert PAIR.open_keys(SEALED, **MINE).grants == {0: EPOCH.key(0), 2: EPOCH.key(2)}
    for other in ({"epoch_id": "epoch-2"}, {"relay_id": "relay-2"}, {"partitions": [0, 1]}, {"partitions": [0]}):
        with pytest.raises(SealError):
            PAIR.open_keys(SEALED, **(MINE | other))
    with pytest.raises(SealError):
        RelayKeyPair().open_keys(SEALED, **MINE)
    with pytest.raises(SealError):
        EPOCH.seal_keys("bm8ga2V5", relay_id="r", partitions=[])


def test_an_envelope_opens_with_its_version_and_owner_alone() -> None:
    envelope = RING.seal(b"secret", b"owner-a")
    assert envelope.kek_version == "v2"
    assert RING.open(envelope, b"owner-a") == b"secret"
    with pytest.raises(EnvelopeError):
        RING.open(envelope, b"owner-b")
    with pytest.raises(EnvelopeError, match="version"):
        KeyRing(LocalKeys({"v1": b"1" * 32})).open(envelope, b"owner-a")
    with pytest.raises(EnvelopeError):
        RING.open(Envelope("v1", envelope.wrapped_key, envelope.ciphertext), b"owner-a")
    assert KeyRing(LocalKeys({"v3": b"3" * 32, "v2": b"2" * 32})).open(envelope, b"owner-a") == b"secret"


def test_a_rewrapped_envelope_needs_the_old_key_no_more() -> None:
    old = KeyRing(LocalKeys({"v1": b"1" * 32})).seal(b"secret", b"o")
    new = RING.rewrap(old, b"o")
    assert (new.kek_version, new.ciphertext) == ("v2", old.ciphertext)
    assert KeyRing(LocalKeys({"v2": b"2" * 32})).open(new, b"o") == b"secret"
    with pytest.raises(EnvelopeError):
        RING.rewrap(old, b"other")


@given(st.integers(0, 10_000), st.booleans(), st.integers(0, 60))
def test_no_changed_envelope_opens(bit: int, in_key: bool, cut: int) -> None:
    envelope = RING.seal(b"secret", b"o")
    name = "wrapped_key" if in_key else "ciphertext"
    data: bytes = getattr(envelope, name)
    for changed in (_flip(data, bit), data[:cut] if cut < len(data) else b""):
        fields = {"wrapped_key": envelope.wrapped_key, "ciphertext": envelope.ciphertext} | {name: changed}
        with pytest.raises(EnvelopeError):
            RING.open(Envelope("v2", **fields), b"o")


def test_key_rings_are_read_and_checked() -> None:
    encoded = base64.b64encode(b"k" * 32).decode()
    assert LocalKeys.parse(f"v1:{encoded}, v0:{encoded}").current == "v1"
    for wrong in ("", "v1:short", f"v1:{base64.b64encode(b'k').decode()}", "v1"):
        with pytest.raises(ValueError, match=r".*"):
            LocalKeys.parse(wrong)


@settings(max_examples=30)
@given(st.integers(0, 100_000))
def test_a_credential_on_its_way_opens_for_its_owner_provider_and_vault_alone(bit: int) -> None:
    sealed = seal_credential(SECRET, VAULT.public, owner="acct:a", provider_id="openai")
    assert open_credential(sealed, VAULT, owner="acct:a", provider_id="openai").reveal() == SECRET.reveal()
    again = KeyPair.from_bytes(VAULT.private_bytes())
    assert open_credential(sealed, again, owner="acct:a", provider_id="openai").reveal() == SECRET.reveal()
    changed = base64.b64encode(_flip(base64.b64decode(sealed), bit)).decode()
    for blob, pair, owner, provider in (
        (sealed, VAULT, "acct:b", "openai"),
        (sealed, VAULT, "acct:a", "xai"),
        (sealed, KeyPair.generate(), "acct:a", "openai"),
        (changed, VAULT, "acct:a", "openai"),
        (sealed[:40], VAULT, "acct:a", "openai"),
        ("!", VAULT, "acct:a", "openai"),
    ):
        with pytest.raises(SealError):
            open_credential(blob, pair, owner=owner, provider_id=provider)


def test_little_is_shown_of_a_key_and_nothing_of_a_short_one() -> None:
    assert masked_tail(Secret("sk-0123456789abcdef")) == "…cdef"
    assert masked_tail(Secret("short")) == "…"


def test_a_secret_shows_itself_nowhere() -> None:
    for shown in (repr(SECRET), str(SECRET), f"{SECRET}", repr([SECRET]), repr(EPOCH)):
        assert "canary" not in shown
        assert EPOCH.secret.hex() not in shown
    with pytest.raises(TypeError):
        pickle.dumps(SECRET)
