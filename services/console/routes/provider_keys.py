"""Provider keys of one's own, of an account or an organization."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import SecretStr

from libs.sealing.credentials import credential_id
from libs.sealing.secret import Secret
from services.console.answers import Answer, Body
from services.console.core.authorization import Action
from services.console.core.owners import OwnerKind
from services.console.provider_keys import StoredKey
from services.console.session import Call, Credential, Owned, parts_of, session
from services.console.store import accounts, audit

routes = APIRouter(prefix="/api/{kind}/{owner_id}/provider-keys", tags=["provider keys"])


class ProviderKey(Body):
    """A provider key of one's own; it is never shown again."""

    key: SecretStr
    check: bool = False
    """Ask the provider first whether it takes the key."""


class KeySubmitted(Answer):
    """The vault has the order to store it; the list shows when it has."""

    id: str
    provider: str
    hint: str | None = None
    """What speaks against the key; it is stored all the same."""


class KeyRemoved(Answer):
    """The vault has the order to destroy it."""

    id: str
    removed: bool = True


class TestOrdered(Answer):
    """The list shows the result: a use at or after this time."""

    ordered_at_ms: int


@routes.get("")
async def list_provider_keys(owner: Owned, call: Call) -> list[StoredKey]:
    """An owner's provider keys, without the keys."""
    await call.check(owner, Action.MANAGE_KEYS)
    return call.parts.provider_keys.rows(owner.name)


async def _checked(
    request: Request, credential: Credential, owner: Owned, provider: str, body: ProviderKey
) -> ProviderKey:
    """Asks the provider, where that is wanted. It may hang, so the call's transaction has not begun yet."""
    if body.check:
        async with session(request, credential) as call:
            await call.check(owner, Action.MANAGE_KEYS)
        key = Secret(body.key.get_secret_value())
        await parts_of(request).provider_keys.check(owner.name, provider, key)
    return body


@routes.put("/{provider}", status_code=202)
async def put_provider_key(
    owner: Owned, provider: str, body: Annotated[ProviderKey, Depends(_checked)], call: Call
) -> KeySubmitted:
    """Add or replace the key of a provider."""
    await call.check(owner, Action.MANAGE_KEYS)
    if owner.kind is OwnerKind.ACCOUNTS:
        await accounts.token_epoch(call.connection, owner.id)
    key = Secret(body.key.get_secret_value())
    name = await call.parts.provider_keys.add(owner.name, provider, key, call.actor.name)
    await audit.note(call.connection, call.actor, "provider_key.put", name, organization_id=owner.organization_id)
    return KeySubmitted(id=name, provider=provider, hint=call.parts.provider_keys.hint(provider, key))


@routes.post("/{provider}/test", status_code=202)
async def test_provider_key(owner: Owned, provider: str, call: Call) -> TestOrdered:
    """Ask the provider whether it takes the stored key; the list then shows the result."""
    await call.check(owner, Action.MANAGE_KEYS)
    return TestOrdered(ordered_at_ms=await call.parts.provider_keys.order_test(owner.name, provider))


@routes.delete("/{provider}", status_code=202)
async def remove_provider_key(owner: Owned, provider: str, call: Call) -> KeyRemoved:
    """Destroy the key of a provider."""
    await call.check(owner, Action.MANAGE_KEYS)
    await call.parts.provider_keys.remove(owner.name, provider, call.actor.name)
    name = credential_id(owner.name, provider)
    await audit.note(call.connection, call.actor, "provider_key.remove", name, organization_id=owner.organization_id)
    return KeyRemoved(id=name)
