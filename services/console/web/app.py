"""The web console's application."""

import mimetypes
from functools import lru_cache

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from services.console.errors import ConsoleError
from services.console.parts import Parts
from services.console.problems import sentence
from services.console.web import (
    alert_mails,
    batches,
    home,
    keys,
    limits,
    live,
    mcp_servers,
    models,
    operations,
    operator,
    organization,
    playground,
    policy,
    requests,
    sign_on,
    signing_in,
    sinks,
    usage,
)
from services.console.web.pages import SECURITY_HEADERS, STATIC, page
from services.console.web.visits import SignInFirst, sign_in_address

PAGES = (
    signing_in,
    sign_on,
    alert_mails,
    home,
    requests,
    keys,
    mcp_servers,
    batches,
    organization,
    policy,
    limits,
    usage,
    models,
    playground,
    operator,
    operations,
    sinks,
    live,
)


def web_application(parts: Parts) -> FastAPI:
    """Pages and their few files."""
    web = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    web.state.parts = parts
    web.add_api_route("/static/{name}", _static, methods=["GET"])
    for part in PAGES:
        web.include_router(part.routes)
    web.add_exception_handler(SignInFirst, _sign_in)
    web.add_exception_handler(ConsoleError, _refused)
    web.add_exception_handler(HTTPException, _no_page)
    web.add_exception_handler(RequestValidationError, _invalid)
    return web


@lru_cache(maxsize=16)
def _file(name: str) -> bytes | None:
    known = {file.name: file for file in STATIC.iterdir()}
    return known[name].read_bytes() if name in known else None


async def _static(name: str) -> Response:
    content = _file(name)
    if content is None:
        raise HTTPException(404)
    kind = mimetypes.guess_type(name)[0]
    return Response(content, media_type=kind, headers=SECURITY_HEADERS | {"Cache-Control": "public, max-age=300"})


async def _sign_in(request: Request, _error: Exception) -> Response:
    return RedirectResponse(sign_in_address(request), 303)


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ConsoleError)
    return _problem(error.status, str(error))


async def _no_page(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _problem(error.status_code, "there is no such page" if error.status_code == 404 else str(error.detail))


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return _problem(400, sentence(error))


def _problem(status: int, detail: str) -> Response:
    return page("problem.html", status, status_code=status, detail=detail[:1].upper() + detail[1:])
