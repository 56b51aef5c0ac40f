"""API keys and provider keys."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from libs.identity.tokens import INFERENCE, MANAGE
from libs.limits.catalog import parse_amount
from libs.sealing.credentials import credential_id
from libs.sealing.secret import Secret
from services.console.core.authorization import Action
from services.console.core.cursors import Slice
from services.console.core.owners import OwnerKind
from services.console.errors import BadInput, ConsoleError, NotFound
from services.console.paging import MOST_ROWS
from services.console.routes.accounts import own_key
from services.console.store import accounts, audit, keys, sessions
from services.console.store.keys import IssuedKey
from services.console.web.people import emails_in
from services.console.web.visits import Visit, Visiting, visiting

routes = APIRouter()
MONTHLY = "usd_per_month"
LIFETIMES = {"30": "30 days", "90": "90 days", "365": "1 year", "1825": "5 years"}


@routes.get("/{space}/keys")
async def list_keys(visit: Visiting) -> Response:
    """The page."""
    return await _keys(visit)


@routes.post("/{space}/keys")
async def create_key(visit: Visiting) -> Response:
    """Mints a key. The page that follows shows it once, so that loading it again mints no other."""
    name, days = visit.form.get("name"), visit.form.get("days")
    scopes = sorted({scope for scope in visit.form.all("scope") if scope in (INFERENCE, MANAGE)})
    if not 1 <= len(name) <= 100:
        return await _keys(visit, problem="Give the key a name of at most 100 characters, to know it by later.")
    if not scopes or days not in LIFETIMES:
        return await _keys(visit, problem="Choose what the key may do, and how long.")
    try:
        meters = _meters(visit.form.get("most"), scopes)
    except ValueError as error:
        return await _keys(visit, problem=f"This limit is not right: {error}.")
    call, ttl_s = visit.session, int(timedelta(days=int(days)).total_seconds())
    issued = await keys.create(
        call.connection, call.actor, call.parts.signing, _account(visit), name, ttl_s, scopes, meters
    )
    return await _show(visit, issued)


def _meters(most: str, scopes: list[str]) -> dict[str, str]:
    """The key's own limit of US dollars a month; none where the field is empty. Raises ValueError."""
    if not most:
        return {}
    if MANAGE in scopes:
        raise ValueError("a key that manages could take its limit away; mint one that only calls models")
    amount = most.removeprefix("$")
    parse_amount(MONTHLY, amount)
    return {MONTHLY: amount}


@routes.post("/{space}/keys/{key_id}/rotate")
async def rotate_key(visit: Visiting, key_id: str) -> Response:
    """Revokes a key and mints one like it."""
    call, old = visit.session, await own_key(visit.session, key_id)
    if not old.key.works:
        raise BadInput("this key works no more; create a new one")
    issued = await keys.rotate(call.connection, call.actor, call.parts.signing, old)
    return await _show(visit, issued)


@routes.post("/{space}/keys/{key_id}/revoke")
async def revoke_key(visit: Visiting, key_id: str) -> Response:
    """Stops a key from working."""
    await own_key(visit.session, key_id)
    await keys.revoke(visit.session.connection, visit.session.actor, key_id)
    return visit.go("keys", "revoked")


async def _show(visit: Visit, issued: IssuedKey) -> Response:
    await sessions.show_once(visit.session.connection, visit.token, issued)
    return visit.go("keys")


async def _keys(visit: Visit, problem: str = "") -> Response:
    issued = None if problem else await sessions.take_shown(visit.session.connection, visit.token, IssuedKey)
    rows = await keys.rows(visit.session.connection, _account(visit), Slice(MOST_ROWS))
    rows.sort(key=lambda key: (key.works, key.created_at), reverse=True)
    return visit.page(
        "keys.html",
        400 if problem else 200,
        rows=rows,
        issued=issued,
        problem=problem,
        lifetimes=LIFETIMES,
        gateway_url=visit.session.parts.gateway_url,
    )


def _account(visit: Visit) -> str:
    """API keys are an account's, in whatever space it looks at them."""
    account_id = visit.session.actor.account_id
    if account_id is None:
        raise NotFound("the operator has no API keys; make one for an account under Operator")
    return account_id


@routes.get("/{space}/provider-keys")
async def list_provider_keys(visit: Visiting) -> Response:
    """The page."""
    return await _provider_keys(visit)


async def _problem(request: Request, space: str) -> str:
    """Why the provider refuses the key, where it is asked: before the page's transaction, because it may hang."""
    async with visiting(request, space) as visit:
        await visit.check(Action.MANAGE_KEYS)
    if not visit.form.get("check"):
        return ""
    key = Secret(visit.form.get("key"))
    try:
        await visit.session.parts.provider_keys.check(visit.owner.name, visit.form.get("provider"), key)
    except ConsoleError as error:
        return str(error)
    return ""


@routes.post("/{space}/provider-keys")
async def put_provider_key(problem: Annotated[str, Depends(_problem)], visit: Visiting) -> Response:
    """Adds or replaces a key."""
    await visit.check(Action.MANAGE_KEYS)
    call, owner, provider = visit.session, visit.owner, visit.form.get("provider")
    key = Secret(visit.form.get("key"))
    try:
        if owner.kind is OwnerKind.ACCOUNTS:
            await accounts.token_epoch(call.connection, owner.id)
        if problem:
            raise BadInput(problem)
        name = await call.parts.provider_keys.add(owner.name, provider, key, call.actor.name)
    except ConsoleError as error:
        return await _provider_keys(visit, str(error))
    await audit.note(call.connection, call.actor, "provider_key.put", name, organization_id=owner.organization_id)
    return visit.go("provider-keys", "provider-key-sent")


@routes.post("/{space}/provider-keys/{provider}/test")
async def test_provider_key(visit: Visiting, provider: str) -> Response:
    """Lets the vault ask the provider; the list shows the result."""
    await visit.check(Action.MANAGE_KEYS)
    await visit.session.parts.provider_keys.order_test(visit.owner.name, provider)
    return visit.go("provider-keys", "provider-key-tested")


@routes.post("/{space}/provider-keys/{provider}/remove")
async def remove_provider_key(visit: Visiting, provider: str) -> Response:
    """Destroys a key."""
    await visit.check(Action.MANAGE_KEYS)
    call, owner = visit.session, visit.owner
    await call.parts.provider_keys.remove(owner.name, provider, call.actor.name)
    name = credential_id(owner.name, provider)
    await audit.note(call.connection, call.actor, "provider_key.remove", name, organization_id=owner.organization_id)
    return visit.go("provider-keys", "provider-key-removed")


async def _provider_keys(visit: Visit, problem: str = "") -> Response:
    await visit.check(Action.MANAGE_KEYS)
    known = visit.session.parts.provider_keys
    rows = known.rows(visit.owner.name)
    return visit.page(
        "provider_keys.html",
        400 if problem else 200,
        rows=rows,
        names=await emails_in(visit.session.connection, visit.owner, (one.added_by for one in rows)),
        providers=sorted((id_, provider.name or id_) for id_, provider in known.providers.items()),
        problem=problem,
    )
