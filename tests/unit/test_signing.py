"""Signed records: what their signer said is believed, and nothing that was made of it."""

import secrets
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import topics
from contracts.control import MembershipChanged
from contracts.headers import SIGNATURE, TYPE, VERSION, Headers
from contracts.services import INGRESS, POLICY, RELAY, SERVICES
from contracts.topic import Topic
from libs.bus.signing import Mark, SignatureError, Signer, SigningSettings, Trust
from libs.bus.views import View
from libs.runtime.process import SettingsError

SIGNER, OTHER = Signer(secrets.token_bytes(32)), Signer(secrets.token_bytes(32))
TRUST = Trust({"console": [OTHER.public_key, SIGNER.public_key], "relay": [OTHER.public_key]})
MEMBER = MembershipChanged(membership_id="o/a", organization_id="o", account_id="a", role="member")


@dataclass(frozen=True)
class Signed:
    """A record as it lies on the log."""

    topic: Topic[Any]
    key: bytes
    type_name: bytes
    value: bytes | None
    headers: Headers

    def verified(self) -> Mark | None:
        return TRUST.verify(self.topic, self.key, self.value, [(TYPE, self.type_name), *self.headers])


def _signed(signer: Signer, key: bytes, type_name: bytes, value: bytes | None, newer_than: int = 0) -> Signed:
    topic = topics.MEMBERSHIPS
    return Signed(
        topic, key, type_name, value, signer.headers(topic.name, key, type_name, value, newer_than=newer_than)
    )


@given(key=st.binary(max_size=20), type_name=st.binary(min_size=1, max_size=20), value=st.binary(max_size=50))
def test_what_a_trusted_key_signed_is_believed_and_no_variation_of_it(
    key: bytes, type_name: bytes, value: bytes
) -> None:
    good = _signed(SIGNER, key, type_name, value)
    mark = good.verified()
    assert mark is not None and mark.public_key == SIGNER.public_key
    (_, version), (_, signature) = good.headers
    forged = [
        replace(good, topic=topics.ACCOUNTS),
        replace(good, topic=topics.RELAYS),
        replace(good, key=key + b"x"),
        replace(good, type_name=type_name + b"x"),
        replace(good, value=value + b"x"),
        replace(good, value=None),
        # A part moved over the border between two fields.
        replace(good, key=key + type_name[:1], type_name=type_name[1:]),
        replace(good, headers=[(VERSION, str(int(version) + 1).encode()), (SIGNATURE, signature)]),
        replace(good, headers=[(VERSION, version), (SIGNATURE, bytes([signature[0] ^ 1]) + signature[1:])]),
        replace(good, headers=[(VERSION, version)]),
        replace(good, headers=[(SIGNATURE, signature)]),
        replace(good, headers=[(VERSION, b"9" * 5000), (SIGNATURE, signature)]),
        replace(good, headers=[]),
        _signed(Signer(secrets.token_bytes(32)), key, type_name, value),
    ]
    for one in forged:
        with pytest.raises(SignatureError):
            one.verified()


def test_a_deletion_is_signed_too() -> None:
    good = _signed(SIGNER, b"o/a", b"", None)
    assert good.verified()
    with pytest.raises(SignatureError):
        replace(good, value=b"").verified()
    with pytest.raises(SignatureError):
        replace(good, headers=[]).verified()


def test_versions_grow_whatever_the_clock_says() -> None:
    versions = []
    for newer_than in (0, 0, 10**17, 0):
        mark = _signed(SIGNER, b"k", b"t", b"v", newer_than).verified()
        assert mark is not None
        versions.append(mark.version)
    assert versions == sorted(set(versions))
    assert versions[2] > 10**17


def test_a_record_that_comes_again_after_a_newer_one_changes_nothing() -> None:
    view = View(topics.MEMBERSHIPS)
    assert view.apply("o/a", MEMBER, Mark(1, b""))
    assert view.apply("o/a", None, Mark(2, b""))
    assert not view.apply("o/a", MEMBER, Mark(1, b""))
    assert view.get("o/a") is None
    assert view.apply("o/a", MEMBER, Mark(3, b""))
    assert view.apply("o/a", MEMBER, Mark(3, b"")), "published twice by one signer"


def test_a_key_is_disputed_until_its_signer_speaks() -> None:
    view = View(topics.MEMBERSHIPS)
    view.disputed.add("o/a")
    view.apply("o/a", MEMBER, Mark(1, b""))
    assert not view.disputed


def test_topics_name_services_that_write_them_alone() -> None:
    for topic in topics.TOPICS:
        if topic.signed_by:
            assert [spec.name for spec in SERVICES if topic in spec.writes] == [topic.signed_by]


def test_a_service_without_its_keys_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="SLUICE_TRUSTED_CONSOLE_KEYS"):
        SigningSettings().trust(INGRESS)
    with pytest.raises(SettingsError, match="SLUICE_RECORD_KEY is missing"):
        SigningSettings().signer(RELAY)
    assert SigningSettings().signer(POLICY) is None
    secret = "c2VjcmV0LXNlY3JldA=="
    monkeypatch.setenv("SLUICE_RECORD_KEY", secret)
    with pytest.raises(SettingsError) as wrong:
        SigningSettings().signer(RELAY)
    assert secret not in str(wrong.value) + repr(SigningSettings())
