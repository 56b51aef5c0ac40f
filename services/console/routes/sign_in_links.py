"""One-time links to the web console."""

from fastapi import APIRouter

from services.console.answers import Body, Id
from services.console.session import Call
from services.console.store import accounts, sessions
from services.console.store.sessions import SignInLink

routes = APIRouter(prefix="/api", tags=["web console"])


class LinkCreate(Body):
    """Who is to sign in; without an account, the caller."""

    account: Id | None = None


@routes.post("/sign-in-links", status_code=201)
async def create_sign_in_link(body: LinkCreate, call: Call) -> SignInLink:
    """Make a link that signs in to the web console, once and within ten minutes."""
    account_id = body.account or call.actor.account_id
    if account_id is not None:
        await call.check_account(account_id)
        await accounts.token_epoch(call.connection, account_id)
    return await sessions.make_link(call.connection, call.actor, account_id)
