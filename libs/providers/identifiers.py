"""What providers are told of users: a hash of their own for each provider, so that two cannot compare notes. Pure."""

import hashlib
from collections.abc import Mapping
from typing import Any

from contracts.requests import Caller

_USER_FIELDS = ("user", "safety_identifier")


def hashed(purpose: str, provider_id: str, *parts: str) -> str:
    """32 hex digits, the same for the same parts; another purpose or provider gives others."""
    return hashlib.sha256("\0".join(("sluice", purpose, provider_id, *parts)).encode()).hexdigest()[:32]


def identify(
    body: Mapping[str, Any],
    *,
    provider_id: str,
    caller: Caller,
    task_id: str | None,
    cache_key_field: str | None,
    user_field: str | None,
) -> dict[str, Any]:
    """The client's body with identifiers as this provider may know them.

    The prompt-cache key is of account and task. A client's own ``user`` is hashed; without one, the account is, for
    providers that have a field for it.

    Args:
        cache_key_field: where the provider takes a prompt-cache key, if it does.
        user_field: where the provider takes an identifier of a user, if it does.
    """
    changed: dict[str, Any] = {}
    account = caller.account_id or caller.ip or ""
    for name in _USER_FIELDS:
        if isinstance(body.get(name), str):
            changed[name] = hashed("user", provider_id, caller.owner, body[name])
    if user_field and user_field not in changed and not changed:
        changed[user_field] = hashed("user", provider_id, account)
    if cache_key_field and task_id and not body.get(cache_key_field):
        changed[cache_key_field] = hashed("cache", provider_id, caller.owner, account, task_id)
    return {**body, **changed}
