"""The form of each provider's API keys, as far as their documentation fixes it. Pure.

A key of the wrong form is refused when it is added, not when the first request fails.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import orjson

MOST_CHARACTERS = 8_192
_PREFIXES = {"anthropic": "sk-ant-", "openai": "sk-", "xai": "xai-", "google": "AIza"}
_ACCESS_KEY = re.compile(r"^[A-Z0-9]{16,128}$")
_REGION = re.compile(r"^[a-z]{2}(-[a-z]+)+-\d$")


class KeyFormError(Exception):
    """The message describes a key of this provider, and quotes nothing of the one given."""


def check_form(provider_id: str, key: str) -> None:
    """Raises KeyFormError where this cannot be a key of the provider."""
    if not key or len(key) > MOST_CHARACTERS or not key.isascii() or not key.isprintable():
        raise KeyFormError(f"a key is 1 to {MOST_CHARACTERS} printable ASCII characters")
    if provider_id == "bedrock" and bedrock_access_key(key):
        return
    if any(character.isspace() for character in key):
        raise KeyFormError("a key holds no white space")
    prefix = _PREFIXES.get(provider_id)
    if prefix and not key.startswith(prefix):
        raise KeyFormError(f"keys of {provider_id} begin with {prefix!r}")


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key of AWS. Its repr shows no secret."""

    key_id: str
    secret: str = field(repr=False)
    region: str


def bedrock_access_key(key: str) -> AccessKey | None:
    """The access key in a key of Bedrock; None for a Bedrock API key, which is a bearer token.

    Raises:
        KeyFormError: it is JSON, but no access key.
    """
    if not key.lstrip().startswith("{"):
        return None
    wanted = 'a Bedrock API key, or {"accessKeyId": "...", "secretAccessKey": "...", "region": "us-east-1"}'
    try:
        parts: Any = orjson.loads(key)
    except orjson.JSONDecodeError:
        raise KeyFormError(f"this is not JSON; give {wanted}") from None
    if not isinstance(parts, dict) or set(parts) != {"accessKeyId", "secretAccessKey", "region"}:
        raise KeyFormError(f"give {wanted}")
    if not all(isinstance(part, str) and part for part in parts.values()):
        raise KeyFormError(f"give {wanted}")
    if not _ACCESS_KEY.match(parts["accessKeyId"]) or not _REGION.match(parts["region"]):
        raise KeyFormError(f"the access key or the region has not the form that AWS gives it; give {wanted}")
    return AccessKey(parts["accessKeyId"], parts["secretAccessKey"], parts["region"])
