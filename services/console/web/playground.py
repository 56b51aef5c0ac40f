"""Playground: one prompt to one or two models, through the gateway like anybody's."""

import secrets
from collections.abc import AsyncIterator
from typing import Annotated

import httpx
import orjson
from fastapi import APIRouter, Path, Query
from starlette.responses import Response, StreamingResponse

from libs.identity.tokens import INFERENCE
from services.console.core.authorization import Action
from services.console.errors import Away, BadInput, NotFound
from services.console.store import accounts
from services.console.web.pages import SECURITY_HEADERS
from services.console.web.visits import Visit, Visiting

routes = APIRouter()
TOKEN_TTL_S = 120
MOST_PROMPT = 20_000
MOST_RUNS = 50
STOP_WITHIN_S = 5.0
STREAM = r"^stream_[A-Za-z0-9_-]{20,80}$"
_GOES_ON = {"X-Sluice-On-Disconnect": "continue"}


@routes.get("/{space}/playground")
async def show_playground(visit: Visiting) -> Response:
    """The page."""
    models = sorted({*visit.session.parts.catalog.offers, *visit.session.parts.catalog.auto})
    return visit.page("playground.html", models=models, may=visit.session.actor.account_id is not None)


@routes.post("/{space}/playground")
async def run(visit: Visiting) -> Response:
    """Streams an answer: the first event names its request, the last has its tokens and what it cost."""
    model, prompt = visit.form.get("model"), visit.form.get("prompt")
    if not model or not prompt or len(prompt) > MOST_PROMPT:
        raise BadInput(f"choose a model, and write a prompt of at most {MOST_PROMPT:,} characters")
    runs = visit.session.parts.playground_runs
    if len(runs) >= MOST_RUNS:
        raise Away("the playground is busy; try again in a moment")
    token = await _token(visit)
    body = {
        "model": model,
        "stream": True,
        "stream_options": {"include_usage": True},
        "usage": {"include": True},
        "messages": [{"role": "user", "content": prompt}],
    }
    # What a page that is loaded again goes on with must not end with its connection.
    answer = _answer(visit.session.parts.playground_url, token, runs, "POST", "chat/completions", _GOES_ON, body)
    return StreamingResponse(answer, media_type="text/event-stream", headers=SECURITY_HEADERS)


@routes.get("/{space}/playground/{stream}")
async def go_on(
    visit: Visiting, stream: Annotated[str, Path(pattern=STREAM)], after: Annotated[int, Query(ge=0, lt=10**15)] = 0
) -> Response:
    """The rest of an answer whose page was loaded again, from the log."""
    runs = visit.session.parts.playground_runs
    if len(runs) >= MOST_RUNS:
        raise Away("the playground is busy; try again in a moment")
    token = await _token(visit)
    headers = {"Last-Event-ID": str(after)}
    answer = _answer(visit.session.parts.playground_url, token, runs, "GET", f"streams/{stream}", headers)
    return StreamingResponse(answer, media_type="text/event-stream", headers=SECURITY_HEADERS)


@routes.post("/{space}/playground/{stream}/stop")
async def stop(visit: Visiting, stream: Annotated[str, Path(pattern=STREAM)]) -> Response:
    """Ends an answer; what was written until then is charged."""
    headers = {"Authorization": f"Bearer {await _token(visit)}"}
    url = f"{visit.session.parts.playground_url}/streams/{stream}"
    try:
        async with httpx.AsyncClient(timeout=STOP_WITHIN_S, trust_env=False) as http:
            answer = await http.delete(url, headers=headers)
    except httpx.HTTPError:
        raise Away("the gateway does not answer; try again") from None
    if answer.is_error:
        raise NotFound(_message(answer))
    return Response(status_code=204, headers=SECURITY_HEADERS)


async def _token(visit: Visit) -> str:
    """Of two minutes, for this one request."""
    call, account_id = visit.session, visit.session.actor.account_id
    if account_id is None:
        raise NotFound("the operator has no account to send requests as; sign in with an account's key")
    claims = {
        "jti": secrets.token_hex(12),
        "account_id": account_id,
        "token_epoch": await accounts.token_epoch(call.connection, account_id),
        "ttl_s": TOKEN_TTL_S,
    }
    if visit.space.organization:
        await visit.check(Action.TAKE_TOKEN)
        role = visit.space.role
        claims |= {"organization_id": visit.owner.id, "role": role.value if role else "member"}
    else:
        claims |= {"scopes": [INFERENCE]}
    return await call.parts.signing.sign(call.connection, **claims)


async def _answer(
    url: str,
    token: str,
    runs: set[object],
    method: str,
    path: str,
    headers: dict[str, str],
    body: dict[str, object] | None = None,
) -> AsyncIterator[bytes]:
    mine = object()
    runs.add(mine)
    try:
        async with (
            httpx.AsyncClient(timeout=httpx.Timeout(120, connect=5), trust_env=False) as http,
            http.stream(
                method, f"{url}/{path}", json=body, headers=headers | {"Authorization": f"Bearer {token}"}
            ) as response,
        ):
            names = {"id": "x-request-id", "stream": "x-sluice-stream"}
            yield _event("request", {one: response.headers.get(name, "") for one, name in names.items()})
            if response.is_error:
                await response.aread()
                yield _event("problem", {"message": _message(response)})
                return
            async for chunk in response.aiter_bytes():
                yield chunk
    except httpx.HTTPError:
        yield _event("problem", {"message": "the gateway does not answer; is an ingress running?"})
    finally:
        runs.discard(mine)


def _event(name: str, content: dict[str, str]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(content))


def _message(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"the gateway answered {response.status_code}"
