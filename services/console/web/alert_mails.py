"""Ending mails about alerts: from the mail itself, without signing in, and from one's home."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from services.console.core.authorization import Actor
from services.console.errors import NotFound
from services.console.session import connected, origin, parts_of
from services.console.store import alert_mails
from services.console.web.pages import page
from services.console.web.visits import Visiting

routes = APIRouter()


@routes.get("/alert-mails/{mail_id}")
async def ask(request: Request, mail_id: str) -> Response:
    """A button, so that nothing that looks at links ends anything."""
    async with connected(parts_of(request)) as connection:
        await alert_mails.account_of(connection, mail_id)
    return page("alert_mails.html", mail_id=mail_id, ended=False)


@routes.post("/alert-mails/{mail_id}")
async def end(request: Request, mail_id: str) -> Response:
    """Ends them, for whoever has the mail: that page's button, or a mail program (RFC 8058, from its own site)."""
    parts = parts_of(request)
    async with connected(parts) as connection, connection.transaction():
        account_id = await alert_mails.account_of(connection, mail_id)
        actor = Actor(account_id, frozenset(), origin(request, parts))
        await alert_mails.set_wanted(connection, actor, account_id, False)
    return page("alert_mails.html", mail_id=mail_id, ended=True)


@routes.post("/{space}/alert-mails")
async def change(visit: Visiting) -> Response:
    """One's own, on or off."""
    actor = visit.session.actor
    if actor.account_id is None:
        raise NotFound("the operator is notified by sinks")
    on = visit.form.get("on") == "yes"
    await alert_mails.set_wanted(visit.session.connection, actor, actor.account_id, on)
    return visit.go("home", "mails-on" if on else "mails-off")
