"""What providers are told of users: a hash of their own for each provider, so that two cannot compare notes. Pure."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from contracts.requests import Caller, Surface
from libs.chat.shapes.completion import Fields

_USER_FIELDS = ("user", "safety_identifier")


@dataclass(frozen=True, slots=True)
class Identifiers:
    """Fields of a request that are added where the client gives none."""

    cache: Mapping[str, str] = field(default_factory=dict)
    """The prompt-cache key, of account and task."""
    user: Mapping[str, str] = field(default_factory=dict)
    """The account."""

    def beside(self, body: Fields) -> dict[str, object]:
        """The body with what it lacks. One that names a user in any field lacks none."""
        names_user = any(body.get(name) for name in _USER_FIELDS)
        added = {**self.cache, **({} if names_user else self.user)}
        return {**body, **{name: value for name, value in added.items() if body.get(name) is None}}


def hashed(purpose: str, provider_id: str, *parts: str) -> str:
    """32 hex digits, the same for the same parts; another purpose or provider gives others."""
    return hashlib.sha256("\0".join(("sluice", purpose, provider_id, *parts)).encode()).hexdigest()[:32]


def identifiers(
    provider_id: str, caller: Caller, *, task_id: str | None, cache_key_field: str | None, user_field: str | None
) -> Identifiers:
    """Those of a request.

    Args:
        cache_key_field: where the provider takes a prompt-cache key, if it does.
        user_field: where the provider takes an identifier of a user, if it does.
    """
    account = caller.account_id or caller.ip or ""
    cache = {}
    if cache_key_field and task_id:
        cache[cache_key_field] = hashed("cache", provider_id, caller.owner, account, task_id)
    return Identifiers(cache, {user_field: hashed("user", provider_id, account)} if user_field else {})


def with_hashed_users(body: Fields, surface: Surface, provider_id: str, caller: Caller) -> dict[str, object]:
    """The client's body with the users that it names as this provider may know them."""

    def known(user: str) -> str:
        return hashed("user", provider_id, caller.owner, user)

    changed: dict[str, object] = {name: known(user) for name in _USER_FIELDS if isinstance(user := body.get(name), str)}
    metadata = body.get("metadata")
    if surface is Surface.MESSAGES and isinstance(metadata, dict) and isinstance(metadata.get("user_id"), str):
        changed["metadata"] = {**metadata, "user_id": known(metadata["user_id"])}
    return {**body, **changed}
