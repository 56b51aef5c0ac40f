"""Signing in with an API key, the operator token or a one-time link; and out."""

import time
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from libs.identity.tokens import MANAGE
from services.console.authentication import authenticate, key_of
from services.console.core.authorization import check_scope
from services.console.errors import Forbidden, NotAllowed
from services.console.parts import Parts
from services.console.session import connected, origin, parts_of
from services.console.store import sessions
from services.console.web.forms import Form
from services.console.web.pages import page
from services.console.web.visits import ALL_SCOPES, COOKIE, Visiting, check_origin, encrypted

routes = APIRouter()


@routes.get("/sign-in")
async def show_sign_in(
    request: Request,
    code: Annotated[str, Query(max_length=100)] = "",
    next: Annotated[str, Query(max_length=500)] = "/",
) -> Response:
    """The form; of a one-time link, a button, so that nothing that looks at links uses it up."""
    return _form(parts_of(request), code=code, next_=local(next))


@routes.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """Begins a session."""
    check_origin(request)
    parts, form = parts_of(request), await Form.read(request)
    address, code, next_ = origin(request, parts), form.get("code"), local(form.get("next"))
    if not parts.sign_ins.allowed(address, time.monotonic()):
        return refused(parts, 429, "Too many tries. Wait a minute, then try again.", next_)
    try:
        async with connected(parts) as connection, connection.transaction():
            key_id = None
            if code:
                found = await sessions.use_link(connection, code, address, ALL_SCOPES)
                if found is None:
                    raise NotAllowed("This link was used, or its ten minutes are over. Ask for a new one.")
                actor = found
            else:
                actor = await authenticate(connection, parts.signing, parts.operator_token, form.get("key"), address)
                check_scope(actor, MANAGE)
                key_id = None if actor.operator else key_of(form.get("key"))
            token = await sessions.begin(connection, actor, key_id, parts.operator_token)
    except (NotAllowed, Forbidden) as error:
        parts.sign_ins.failed(address, time.monotonic())
        return refused(parts, error.status, str(error), next_)
    return begun(request, token, next_)


@routes.post("/{space}/sign-out")
async def sign_out(visit: Visiting) -> Response:
    """Ends the session."""
    await sessions.end(visit.session.connection, visit.session.actor, visit.token)
    response = RedirectResponse("/sign-in", 303)
    response.delete_cookie(COOKIE)
    response.headers["Clear-Site-Data"] = '"storage"'
    return response


def begun(request: Request, token: str, leads_to: str) -> Response:
    """To the page that was asked for, with the session's cookie."""
    response = RedirectResponse(leads_to, 303)
    response.set_cookie(
        COOKIE,
        token,
        max_age=int(sessions.SESSION_TTL.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=encrypted(request),
    )
    return response


def refused(parts: Parts, status: int, problem: str, next_: str = "/") -> Response:
    """The form again, and why."""
    return _form(parts, status, problem=problem, next_=next_)


def _form(parts: Parts, status: int = 200, *, code: str = "", next_: str = "/", problem: str = "") -> Response:
    sign_on = parts.sign_on.name if parts.sign_on else ""
    return page("sign_in.html", status, code=code, next=next_, problem=problem, sign_on=sign_on)


def local(address: str) -> str:
    """An address of this site; its beginning for any other."""
    plain = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()
    return address if plain else "/"
