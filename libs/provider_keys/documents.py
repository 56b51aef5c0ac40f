"""Keys that are JSON documents: AWS's access keys, Azure's with their resource, Google's service accounts. Pure.

All parts go into addresses and headers, so their form is checked whole.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

MOST_KEY_BITS = 4_096
"""Of a service account's RSA key. Google makes 2,048; signing with larger ones takes CPU."""
_ACCESS_KEY = re.compile(r"[A-Z0-9]{16,128}", re.ASCII)
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]", re.ASCII)
_RESOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}", re.ASCII)
_PROJECT = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", re.ASCII)
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,100}@[A-Za-z0-9.-]{1,150}", re.ASCII)


class KeyFormError(Exception):
    """The message describes a key of this provider, and quotes nothing of the one given."""


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key of AWS. Its repr shows no secret."""

    key_id: str
    secret: str = field(repr=False)
    region: str


@dataclass(frozen=True, slots=True)
class AzureKey:
    """A key of Azure OpenAI, and the resource that it is for, where it names one."""

    key: str = field(repr=False)
    resource: str | None


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A service account of Google Cloud. Its repr shows no secret."""

    email: str
    project: str
    key_id: str
    private_key: RSAPrivateKey = field(repr=False)
    document: str = field(repr=False)
    """The JSON, with what is used of it alone."""


def compact(key: str) -> str:
    """The JSON of a key without white space. Raises KeyFormError where it is none."""
    return orjson.dumps(_parts(key, "this is not JSON")).decode()


def bedrock_access_key(key: str) -> AccessKey | None:
    """The access key in a key of Bedrock; None for a Bedrock API key, which is a bearer token.

    Raises:
        KeyFormError: it is JSON, but no access key.
    """
    if not key.lstrip().startswith("{"):
        return None
    wanted = 'a Bedrock API key, or {"accessKeyId": "...", "secretAccessKey": "...", "region": "us-east-1"}'
    parts = _parts(key, f"this is not JSON; give {wanted}")
    if set(parts) != {"accessKeyId", "secretAccessKey", "region"} or not all(_is_word(part) for part in parts.values()):
        raise KeyFormError(f"give {wanted}")
    if not _ACCESS_KEY.fullmatch(parts["accessKeyId"]) or not _REGION.fullmatch(parts["region"]):
        raise KeyFormError(f"the access key or the region has not the form that AWS gives it; give {wanted}")
    return AccessKey(parts["accessKeyId"], parts["secretAccessKey"], parts["region"])


def azure_key(key: str, *, wants_resource: bool) -> AzureKey:
    """The key, and its resource where it is JSON.

    Raises:
        KeyFormError: it is JSON of another form, or names no resource where the address needs one.
    """
    wanted = '{"apiKey": "...", "resource": "..."}, where the resource is the first part of its address'
    if not key.lstrip().startswith("{"):
        if wants_resource:
            raise KeyFormError(f"give {wanted}")
        return AzureKey(key, None)
    parts = _parts(key, f"this is not JSON; give {wanted}")
    if set(parts) != {"apiKey", "resource"} or not all(_is_word(part) for part in parts.values()):
        raise KeyFormError(f"give {wanted}")
    if not _RESOURCE.fullmatch(parts["resource"]):
        raise KeyFormError(f"the resource has not the form that Azure gives it; give {wanted}")
    return AzureKey(parts["apiKey"], parts["resource"])


def service_account(key: str) -> ServiceAccount:
    """The service account of a JSON key file. Its addresses are not read: a key must not say where it is sent.

    Raises:
        KeyFormError: it is another document, or its private key is no RSA key.
    """
    wanted = "the JSON key file of a service account of Google Cloud"
    parts = _parts(key, f"this is not JSON; give {wanted}")
    used: dict[str, Any] = {
        name: parts.get(name) for name in ("type", "project_id", "private_key_id", "client_email", "private_key")
    }
    if used["type"] != "service_account" or not all(isinstance(part, str) and part.isascii() for part in used.values()):
        raise KeyFormError(f"give {wanted}")
    if not (_PROJECT.fullmatch(used["project_id"]) and _EMAIL.fullmatch(used["client_email"])):
        raise KeyFormError(f"its project or its e-mail address has not the form that Google gives it; give {wanted}")
    if not _is_word(used["private_key_id"]):
        raise KeyFormError(f"give {wanted}")
    try:
        private_key = load_pem_private_key(used["private_key"].encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyFormError(f"its private key cannot be read; give {wanted}") from None
    if not isinstance(private_key, RSAPrivateKey) or private_key.key_size > MOST_KEY_BITS:
        raise KeyFormError(f"its private key is no RSA key of at most {MOST_KEY_BITS} bits")
    document = orjson.dumps(used).decode()
    return ServiceAccount(used["client_email"], used["project_id"], used["private_key_id"], private_key, document)


def _parts(key: str, otherwise: str) -> dict[str, Any]:
    try:
        parts = orjson.loads(key)
    except orjson.JSONDecodeError:
        raise KeyFormError(otherwise) from None
    if not isinstance(parts, dict):
        raise KeyFormError(otherwise)
    return parts


def _is_word(part: Any) -> bool:
    """A text that may stand in a header: not empty, printable ASCII, no white space."""
    return isinstance(part, str) and part.isascii() and part.isprintable() and bool(part) and " " not in part
