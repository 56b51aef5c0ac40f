"""Accounts, their API keys, and who calls."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from libs.identity.tokens import API_KEY_TTL_S, INFERENCE, MANAGE, SCOPES
from libs.limits.catalog import METERS
from services.console.answers import EMAIL, Answer, Body
from services.console.core.cursors import Slice
from services.console.errors import BadInput, NotFound
from services.console.paging import MOST_ROWS, Page
from services.console.session import Call, Session
from services.console.store import accounts, alert_mails, keys, organizations
from services.console.store.accounts import Account
from services.console.store.keys import IssuedKey, Key
from services.console.store.organizations import Organization

routes = APIRouter(prefix="/api", tags=["accounts"])
Scope = Annotated[str, Field(pattern=f"^({'|'.join(SCOPES)})$")]


class AccountCreate(Body):
    """A new account."""

    email: Annotated[str, Field(pattern=EMAIL)]


class AccountChange(Body):
    """A disabled account's keys do not work."""

    disabled: bool


class KeyCreate(Body):
    """A new API key."""

    name: Annotated[str, Field(min_length=1, max_length=100)] = "default"
    ttl_s: Annotated[int, Field(gt=0, le=API_KEY_TTL_S)] = API_KEY_TTL_S
    """Seconds."""
    scopes: Annotated[list[Scope], Field(min_length=1)] = [INFERENCE]
    limits: Annotated[dict[str, Annotated[str, Field(max_length=20)] | int], Field(max_length=len(METERS))] = {}
    """Of this key alone, by name as in docs/limits.md: whole numbers, or US dollars as decimal strings."""


class Created(Answer):
    """The ID of what was made."""

    id: str


class AccountState(Answer):
    """Whether an account's keys work."""

    id: str
    disabled: bool


class SignedOut(Answer):
    """All keys and tokens of the account have ended."""

    id: str
    signed_out: bool = True


class Revoked(Answer):
    """The key works no more."""

    id: str
    revoked: bool = True


class AlertMailsChange(Body):
    """Whether an account is notified of alerts by mail."""

    on: bool


class AlertMailsState(Answer):
    """Whether an account is notified of alerts by mail, where this Sluice sends any."""

    id: str
    on: bool
    sent: bool
    """This Sluice sends mails."""


class Me(Answer):
    """Whose key this is."""

    account: str | None
    """None for the operator."""
    operator: bool
    organizations: list[Organization]


@routes.post("/accounts", status_code=201)
async def create_account(body: AccountCreate, call: Call) -> Created:
    """Create an account (operator)."""
    call.check_operator()
    return Created(id=await accounts.create(call.connection, call.actor, body.email))


@routes.get("/accounts")
async def list_accounts(
    call: Call, page: Page, email: Annotated[str | None, Query(max_length=255, description="Holds this.")] = None
) -> list[Account]:
    """List accounts, oldest first (operator)."""
    call.check_operator()
    return page.of(await accounts.rows(call.connection, page.slice, email=email))


@routes.patch("/accounts/{account_id}")
async def change_account(account_id: str, body: AccountChange, call: Call) -> AccountState:
    """Disable an account, or enable it again (operator)."""
    call.check_operator()
    await accounts.set_disabled(call.connection, call.actor, account_id, body.disabled)
    return AccountState(id=account_id, disabled=body.disabled)


@routes.post("/accounts/{account_id}/sign-out")
async def sign_out(account_id: str, call: Call) -> SignedOut:
    """End every key and token of an account."""
    await call.check_account(account_id)
    await accounts.sign_out_everywhere(call.connection, call.actor, account_id)
    return SignedOut(id=account_id)


@routes.get("/accounts/{account_id}/alert-mails")
async def show_alert_mails(account_id: str, call: Call) -> AlertMailsState:
    """Whether an account gets mails of alerts about itself and the organizations whose billing it may manage."""
    await call.check_account(account_id)
    on = await alert_mails.wanted(call.connection, account_id)
    return AlertMailsState(id=account_id, on=on, sent=call.parts.mails)


@routes.put("/accounts/{account_id}/alert-mails")
async def set_alert_mails(account_id: str, body: AlertMailsChange, call: Call) -> AlertMailsState:
    """End mails about alerts to an account, or begin them again."""
    await call.check_account(account_id)
    await alert_mails.set_wanted(call.connection, call.actor, account_id, body.on)
    return AlertMailsState(id=account_id, on=body.on, sent=call.parts.mails)


@routes.post("/accounts/{account_id}/keys", status_code=201)
async def create_key(account_id: str, body: KeyCreate, call: Call) -> IssuedKey:
    """Mint an API key; it is shown this once."""
    await call.check_account(account_id)
    scopes = sorted(set(body.scopes))
    if body.limits and MANAGE in scopes:
        raise BadInput("a key with the scope `manage` could take its own limits away; mint one without")
    return await keys.create(
        call.connection, call.actor, call.parts.signing, account_id, body.name, body.ttl_s, scopes, body.limits
    )


@routes.get("/accounts/{account_id}/keys")
async def list_keys(account_id: str, call: Call, page: Page) -> list[Key]:
    """An account's keys by fingerprint, oldest first, without the keys themselves."""
    await call.check_account(account_id)
    return page.of(await keys.rows(call.connection, account_id, page.slice))


@routes.delete("/keys/{key_id}")
async def revoke_key(key_id: str, call: Call) -> Revoked:
    """Stop a key from working."""
    await own_key(call, key_id)
    await keys.revoke(call.connection, call.actor, key_id)
    return Revoked(id=key_id)


@routes.post("/keys/{key_id}/rotate", status_code=201)
async def rotate_key(key_id: str, call: Call) -> IssuedKey:
    """Revoke a key and mint one of the same name, scopes, lifetime and limits."""
    old = await own_key(call, key_id)
    if old.key.revoked_at:
        raise BadInput("this key is revoked; create a new one")
    return await keys.rotate(call.connection, call.actor, call.parts.signing, old)


@routes.get("/me", response_model_exclude_unset=True)
async def me(call: Call) -> Me:
    """Who this key is."""
    account_id = call.actor.account_id
    mine = await organizations.rows(call.connection, account_id, Slice(MOST_ROWS)) if account_id else []
    return Me(account=account_id, operator=call.actor.operator, organizations=mine)


async def own_key(call: Session, key_id: str) -> keys.OwnedKey:
    """A key that the caller may manage. Raises NotFound or Forbidden; another's key is as if it were not there."""
    found = await keys.find(call.connection, key_id)
    try:
        await call.check_account(found.account_id)
    except NotFound:
        raise keys.no_key(key_id) from None
    return found
