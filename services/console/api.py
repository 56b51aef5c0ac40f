"""The console's application: the management API, whose OpenAPI document is at ``/openapi.json``, and what guards it."""

from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs.version import VERSION
from services.console.parts import Parts
from services.console.problems import DOCUMENTED, add_problem_handlers
from services.console.routes import (
    accounts,
    audit,
    batches,
    catalog,
    credit,
    dead_letters,
    hooks,
    invitations,
    limits,
    mcp_servers,
    operator,
    organizations,
    payments,
    policies,
    provider_keys,
    requests,
    sign_in_links,
    sinks,
)
from services.console.web.app import web_application

MOST_BODY_BYTES = 64 * 1024
MOST_CATALOG_BYTES = 2 * 1024 * 1024
CATALOG_PATH = "/api/catalog"
API_PATHS = ("/api/", "/.well-known/", "/openapi.json")
ROUTES = (
    accounts.routes,
    organizations.routes,
    invitations.routes,
    policies.routes,
    hooks.routes,
    audit.routes,
    provider_keys.routes,
    mcp_servers.routes,
    credit.routes,
    requests.routes,
    batches.routes,
    payments.routes,
    limits.routes,
    operator.routes,
    catalog.routes,
    dead_letters.routes,
    sinks.routes,
    sign_in_links.routes,
)


def application(parts: Parts) -> ASGIApp:
    """The ASGI application."""
    api = _api()
    api.state.parts = parts
    return _Rooms(_LimitedBody(api, MOST_BODY_BYTES), _LimitedBody(web_application(parts), MOST_BODY_BYTES))


def description() -> dict[str, Any]:
    """The OpenAPI document; it needs no database."""
    document: dict[str, Any] = _api().openapi()
    return document


class _Api(FastAPI):
    """FastAPI's document names neither the media type of problems nor the status that bad input is refused with."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            document = super().openapi()
            for operation in (one for methods in document["paths"].values() for one in methods.values()):
                operation["responses"].pop("422", None)
                for status in DOCUMENTED:
                    content = operation["responses"][status]["content"]
                    content["application/problem+json"] = content.pop("application/json")
            for name in ("HTTPValidationError", "ValidationError"):
                document["components"]["schemas"].pop(name, None)
        return super().openapi()


def _api() -> FastAPI:
    api = _Api(
        title="Sluice management API",
        version=VERSION,
        docs_url=None,
        redoc_url=None,
        responses=DOCUMENTED,
        generate_unique_id_function=_operation_id,
    )
    add_problem_handlers(api)
    for routes in ROUTES:
        api.include_router(routes)
    return api


def _operation_id(route: APIRoute) -> str:
    return route.name


class _Rooms:
    """The API below its paths; pages everywhere else."""

    def __init__(self, api: ASGIApp, web: ASGIApp) -> None:
        self._api = api
        self._web = web

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        to_api = scope["path"].startswith(API_PATHS)
        await (self._api if to_api else self._web)(scope, receive, send)


class _LimitedBody:
    """Refuses bodies over a limit before anything reads them whole."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, counting its body."""
        seen, most = 0, MOST_CATALOG_BYTES if scope["path"].startswith(CATALOG_PATH) else self._most

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > most:
                raise HTTPException(413, f"the body is larger than {most} bytes")
            return message

        await self._app(scope, counted, send)
