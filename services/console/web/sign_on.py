"""Signing in through the provider of single sign-on: there, and back."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from services.console.core.authorization import Actor
from services.console.errors import NotAllowed, NotFound
from services.console.session import connected, origin, parts_of
from services.console.single_sign_on import Attempt, SignOnError, SingleSignOn
from services.console.store import identities, sessions
from services.console.web.signing_in import begun, local, refused
from services.console.web.visits import ALL_SCOPES, encrypted

routes = APIRouter()
BACK = "/sign-in/single/back"
COOKIE = "sluice_sign_on"
ATTEMPT_S = 600


@routes.get("/sign-in/single")
async def leave(request: Request, next: Annotated[str, Query(max_length=500)] = "/") -> Response:
    """To the provider."""
    parts, provider = parts_of(request), _provider(request)
    attempt = Attempt(leads_to=local(next))
    try:
        there = await provider.address(attempt, _redirect_uri(request))
    except SignOnError as error:
        return refused(parts, 503, str(error))
    response = RedirectResponse(there, 303)
    response.set_cookie(
        COOKIE,
        attempt.cookie(),
        max_age=ATTEMPT_S,
        path="/sign-in",
        httponly=True,
        samesite="lax",
        secure=encrypted(request),
    )
    return response


@routes.get(BACK)
async def come_back(
    request: Request,
    state: Annotated[str, Query(max_length=500)] = "",
    code: Annotated[str, Query(max_length=4_000)] = "",
) -> Response:
    """From the provider. Nothing of it is in a transaction while the provider is asked."""
    parts, provider, address = parts_of(request), _provider(request), origin(request, parts_of(request))
    try:
        attempt = Attempt.of_cookie(request.cookies.get(COOKIE, ""))
        if attempt is None or not code:
            raise NotAllowed("You did not sign in there, or it took too long. Try again.")
        identity = await provider.identity(attempt, state, code, _redirect_uri(request))
        async with connected(parts) as connection, connection.transaction():
            account_id = await identities.account_of(connection, identity, address, parts.sign_on_domains)
            actor = Actor(account_id, ALL_SCOPES, address)
            token = await sessions.begin(connection, actor, None, parts.operator_token)
    except (SignOnError, NotAllowed) as error:
        response = refused(parts, 401, str(error))
    else:
        parts.changed()
        response = begun(request, token, local(attempt.leads_to))
    response.delete_cookie(COOKIE, path="/sign-in")
    return response


def _provider(request: Request) -> SingleSignOn:
    provider = parts_of(request).sign_on
    if provider is None:
        raise NotFound("single sign-on is not set up here; sign in with a key")
    return provider


def _redirect_uri(request: Request) -> str:
    public_url = parts_of(request).public_url
    return (public_url.rstrip("/") if public_url else str(request.base_url).rstrip("/")) + BACK
