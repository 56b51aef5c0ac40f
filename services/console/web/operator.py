"""Operator: accounts, providers' health, the vault and the signing keys."""

from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from starlette.responses import Response

from services.console.core.cursors import Slice
from services.console.errors import Away, BadInput, ConsoleError
from services.console.provider_keys import Vault
from services.console.routes.accounts import AccountCreate
from services.console.routes.credit import CreditOrder, wanted
from services.console.store import accounts, credit, requests, sessions
from services.console.store.sessions import SignInLink
from services.console.web.visits import Visit, Visiting

routes = APIRouter()
ROWS = 50
HEALTH_SPAN = timedelta(hours=1)


@routes.get("/{space}/operator")
async def show_operator(visit: Visiting, q: Annotated[str, Query(max_length=100)] = "") -> Response:
    """The page."""
    return await _page(visit, q)


@routes.post("/{space}/operator/accounts")
async def create_account(visit: Visiting) -> Response:
    """Makes an account, and a link by which its owner signs in."""
    visit.session.check_operator()
    call = visit.session
    try:
        email = AccountCreate(email=visit.form.get("email")).email
        account_id = await accounts.create(call.connection, call.actor, email)
    except ValueError:
        return await _page(visit, problem="This is no e-mail address.")
    except ConsoleError as error:
        return await _page(visit, problem=str(error))
    return await _show_link(visit, account_id, email)


@routes.post("/{space}/operator/accounts/{account_id}/link")
async def make_link(visit: Visiting, account_id: str) -> Response:
    """A link by which an account signs in."""
    visit.session.check_operator()
    call = visit.session
    await accounts.token_epoch(call.connection, account_id)
    return await _show_link(visit, account_id)


@routes.post("/{space}/operator/accounts/{account_id}/disabled")
async def set_disabled(visit: Visiting, account_id: str) -> Response:
    """Locks an account out, or lets it in again."""
    visit.session.check_operator()
    disabled = visit.form.get("disabled") == "yes"
    await accounts.set_disabled(visit.session.connection, visit.session.actor, account_id, disabled)
    return visit.go("operator", "account-changed")


@routes.post("/{space}/operator/accounts/{account_id}/credit")
async def add_credit(visit: Visiting, account_id: str) -> Response:
    """Adds credit to an account."""
    visit.session.check_operator()
    call = visit.session
    await accounts.token_epoch(call.connection, account_id)
    try:
        order = wanted(CreditOrder(usd=visit.form.get("usd"), reference="added in the console"))
    except (ValueError, BadInput):
        return await _page(visit, problem="Credit is an amount of US dollars above 0, for example 10.00.")
    await credit.order(call.connection, call.actor, f"acct:{account_id}", order, None)
    return visit.go("operator", "credit-ordered")


async def _show_link(visit: Visit, account_id: str, q: str = "") -> Response:
    call = visit.session
    link = await sessions.make_link(call.connection, call.actor, account_id)
    await sessions.show_once(call.connection, visit.token, link)
    return visit.go("operator" + (f"?{urlencode({'q': q})}" if q else ""))


async def _page(visit: Visit, q: str = "", *, problem: str = "") -> Response:
    visit.session.check_operator()
    call = visit.session
    link = None if problem else await sessions.take_shown(call.connection, visit.token, SignInLink)
    vault: Vault | None
    try:
        vault = call.parts.provider_keys.vault()
    except Away:
        vault = None
    rows = await accounts.rows(call.connection, Slice(ROWS), email=q or None)
    return visit.page(
        "operator.html",
        400 if problem else 200,
        rows=rows[:ROWS],
        more=len(rows) > ROWS,
        q=q,
        link=link,
        link_url=f"{visit.request.url.scheme}://{visit.request.url.netloc}{link.path}" if link else "",
        problem=problem,
        vault=vault,
        signing_keys=await call.parts.signing.rows(call.connection),
        providers=await requests.providers(call.connection, datetime.now(UTC) - HEALTH_SPAN),
    )
