"""Signed records: what others must believe is signed by the one service that may say it (RFC 8032, Ed25519).

A topic names its signer (`Topic.signed_by`). The signature covers topic, key, type, version and value, so that no
record can be moved to another topic or key, or come back after a newer one. Readers hold the signers' public keys,
given to them at deployment; write access to the topic is not enough to be believed.
"""

import base64
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.headers import SIGNATURE, TYPE, VERSION, Headers
from contracts.services import ServiceSpec
from contracts.topic import Topic
from libs.runtime.process import SettingsError

_PURPOSE = b"sluice record v1"
MOST_KEYS = 4
"""Of one signer: the present one, and its neighbours while it is rotated."""


class SignatureError(ValueError):
    """A record that its topic's signer did not sign; the message quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What a good signature says beside the value."""

    version: int
    """Microseconds since 1970; of two records of a key the greater is the newer."""
    public_key: bytes
    """The key that verifies it."""


class SigningSettings(BaseSettings):
    """Environment variables; keys are 32 bytes in base64, public ones a list with commas between them.

    To replace a signer's key without a pause: add its new public key everywhere, then give it the new private key,
    then take the old public key away.
    """

    model_config = SettingsConfigDict(env_prefix="SLUICE_")

    record_key: str | None = Field(default=None, repr=False)
    """The private key of this service, where it signs records."""
    trusted_console_keys: str = ""
    trusted_key_vault_keys: str = ""
    trusted_relay_keys: str = ""

    def signer(self, spec: ServiceSpec) -> "Signer | None":
        """The service's signer, where it writes topics that name it.

        Raises:
            SettingsError: it has no key, or one that is none.
        """
        if not spec.signs:
            return None
        if self.record_key is None:
            raise SettingsError(f"SLUICE_RECORD_KEY is missing: {spec.name} signs its records")
        return Signer(_decoded("SLUICE_RECORD_KEY", self.record_key))

    def trust(self, spec: ServiceSpec) -> "Trust":
        """Whom the service believes: the signers of what it reads, and no others.

        Raises:
            SettingsError: a signer has no public key, too many, or one that is none.
        """
        keys: dict[str, list[bytes]] = {}
        for service in spec.signers:
            variable = trusted_variable(service)
            listed: str = getattr(self, variable.removeprefix("SLUICE_").lower())
            keys[service] = [_decoded(variable, part) for part in listed.split(",") if part.strip()]
            if not 1 <= len(keys[service]) <= MOST_KEYS:
                raise SettingsError(f"{variable} lists 1 to {MOST_KEYS} public keys of {service}")
        return Trust(keys)


def trusted_variable(service: str) -> str:
    """The environment variable with the public keys of a service that signs."""
    return f"SLUICE_TRUSTED_{service.upper().replace('-', '_')}_KEYS"


class Signer:
    """Signs the records of one service."""

    def __init__(self, private_key: bytes) -> None:
        """
        Args:
            private_key: 32 bytes.
        """
        self._key = Ed25519PrivateKey.from_private_bytes(private_key)
        self.public_key = self._key.public_key().public_bytes_raw()
        self._newest = 0

    def headers(self, topic: str, key: bytes, type_name: bytes, value: bytes | None, *, newer_than: int = 0) -> Headers:
        """Signature and version of a record, for its headers.

        Args:
            type_name: as in ``ce_type``; empty for a deletion.
            newer_than: a version that this one must exceed, whatever the clock says.
        """
        version = self._newest = max(time.time_ns() // 1000, self._newest + 1, newer_than + 1)
        signature = self._key.sign(_signed_bytes(topic, key, type_name, version, value))
        return [(VERSION, str(version).encode()), (SIGNATURE, signature)]


class Trust:
    """The public keys of the services that sign."""

    def __init__(self, keys: Mapping[str, Sequence[bytes]]) -> None:
        """
        Args:
            keys: by service; 32 bytes each.
        """
        self._keys = {
            service: [(key, Ed25519PublicKey.from_public_bytes(key)) for key in of_one]
            for service, of_one in keys.items()
        }

    def verify(
        self, topic: Topic[Any], key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]]
    ) -> Mark | None:
        """The mark of a record; None on a topic that nobody signs.

        Raises:
            SignatureError: the topic's signer did not sign it.
        """
        if topic.signed_by is None:
            return None
        found = {name: content for name, content in headers if name in (SIGNATURE, VERSION, TYPE)}
        signature, version = found.get(SIGNATURE), found.get(VERSION)
        if not signature or not version:
            raise SignatureError(f"not signed; {topic.name} is signed by {topic.signed_by}")
        if not version.isdigit() or len(version) > 18:
            raise SignatureError("the version is no number")
        type_name = b"" if value is None else found.get(TYPE) or b""
        signed = _signed_bytes(topic.name, key or b"", type_name, int(version), value)
        for public_key, verifier in self._keys.get(topic.signed_by, ()):
            try:
                verifier.verify(signature, signed)
            except InvalidSignature:
                continue
            return Mark(int(version), public_key)
        raise SignatureError(f"the signature is not that of {topic.signed_by}")


NOBODY = Trust({})
"""Believes nobody: for readers of topics that are not signed."""


def _signed_bytes(topic: str, key: bytes, type_name: bytes, version: int, value: bytes | None) -> bytes:
    # Lengths before the parts: no two records have the same bytes.
    parts = [_PURPOSE, topic.encode(), key, type_name, str(version).encode(), b"deleted" if value is None else b"value"]
    return b"".join(len(part).to_bytes(4, "big") + part for part in (*parts, value or b""))


def _decoded(name: str, text: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise SettingsError(f"{name} is not 32 bytes in base64")
    return key
