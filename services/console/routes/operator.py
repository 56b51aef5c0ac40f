"""What the operator of a Sluice looks after: the vault and the signing keys."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field

from libs.identity.tokens import API_KEY_TTL_S
from services.console.answers import Answer, Body
from services.console.provider_keys import Vault
from services.console.session import Call, connected, parts_of
from services.console.signing import JsonWebKeySet, SigningKey, jwks
from services.console.store import audit

routes = APIRouter(tags=["operator"])


class SigningKeyRetire(Body):
    """After this many seconds nothing that the key signed is valid."""

    after_s: Annotated[int, Field(ge=0, le=API_KEY_TTL_S)] = 0


class SigningKeyMade(Answer):
    """It signs from now on."""

    kid: str


class SigningKeyRetired(Answer):
    """It verifies until then."""

    kid: str
    not_after: datetime


@routes.get("/.well-known/jwks.json")
async def public_keys(request: Request) -> JsonWebKeySet:
    """The public halves of the signing keys (RFC 7517)."""
    parts = parts_of(request)
    async with connected(parts) as connection:
        return jwks(await parts.signing.public(connection))


@routes.get("/api/vault")
async def show_vault(call: Call) -> Vault:
    """Which key-encryption key wraps, and how many keys an older one wraps still (operator)."""
    call.check_operator()
    return call.parts.provider_keys.vault()


@routes.post("/api/vault/rewrap", status_code=202)
async def rewrap(call: Call) -> Vault:
    """Wrap every stored key's data key by the current key-encryption key (operator)."""
    call.check_operator()
    await call.parts.provider_keys.order_rewrap(call.actor.name)
    await audit.note(call.connection, call.actor, "vault.rewrap", "vault")
    return call.parts.provider_keys.vault()


@routes.get("/api/signing-keys")
async def list_signing_keys(call: Call) -> list[SigningKey]:
    """The signing keys, newest first (operator)."""
    call.check_operator()
    return await call.parts.signing.rows(call.connection)


@routes.post("/api/signing-keys/rotate", status_code=201)
async def rotate_signing_key(call: Call) -> SigningKeyMade:
    """Sign with a new key from now on; older ones still verify (operator)."""
    call.check_operator()
    kid = await call.parts.signing.make(call.connection)
    await audit.note(call.connection, call.actor, "signing_key.rotate", kid)
    return SigningKeyMade(kid=kid)


@routes.post("/api/signing-keys/{kid}/retire")
async def retire_signing_key(kid: str, body: SigningKeyRetire, call: Call) -> SigningKeyRetired:
    """Let a key that signs no more verify no more, at once or later (operator)."""
    call.check_operator()
    not_after = datetime.now(UTC) + timedelta(seconds=body.after_s)
    await call.parts.signing.retire(call.connection, kid, not_after)
    await audit.note(call.connection, call.actor, "signing_key.retire", kid)
    return SigningKeyRetired(kid=kid, not_after=not_after)
