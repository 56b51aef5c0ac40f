"""Signing in with an API key, the operator token or a one-time link; and out."""

import time
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from libs.identity.tokens import MANAGE
from services.console.authentication import authenticate, key_of
from services.console.core.authorization import check_scope
from services.console.errors import Forbidden, NotAllowed
from services.console.session import connected, origin, parts_of
from services.console.store import sessions
from services.console.web.forms import Form
from services.console.web.pages import page
from services.console.web.visits import ALL_SCOPES, COOKIE, Visiting, check_origin

routes = APIRouter()


@routes.get("/sign-in")
async def show_sign_in(
    code: Annotated[str, Query(max_length=100)] = "", next: Annotated[str, Query(max_length=500)] = "/"
) -> Response:
    """The form; of a one-time link, a button, so that nothing that looks at links uses it up."""
    return page("sign_in.html", code=code, next=_local(next), problem="")


@routes.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """Begins a session."""
    check_origin(request)
    parts, form = parts_of(request), await Form.read(request)
    address, code, next_ = origin(request, parts), form.get("code"), _local(form.get("next"))
    if not parts.sign_ins.allowed(address, time.monotonic()):
        problem = "Too many tries. Wait a minute, then try again."
        return page("sign_in.html", 429, code="", next=next_, problem=problem)
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
        return page("sign_in.html", error.status, code="", next=next_, problem=str(error))
    response = RedirectResponse(next_, 303)
    response.set_cookie(
        COOKIE,
        token,
        max_age=int(sessions.SESSION_TTL.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https",
    )
    return response


@routes.post("/{space}/sign-out")
async def sign_out(visit: Visiting) -> Response:
    """Ends the session."""
    await sessions.end(visit.session.connection, visit.session.actor, visit.token)
    response = RedirectResponse("/sign-in", 303)
    response.delete_cookie(COOKIE)
    return response


def _local(address: str) -> str:
    """An address of this site; its beginning for any other."""
    plain = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()
    return address if plain else "/"
