"""Wiring of the ingress."""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from contracts import topics
from contracts.record import Refusal
from contracts.requests import Surface
from libs.bus.service import Service
from libs.bus.views import View
from libs.bus.watch import BrokerWatch
from libs.config.catalog import Catalog
from libs.config.gateway import GatewayConfig
from libs.runtime.server import HttpServer
from services.ingress.authentication import Authenticator
from services.ingress.balance import BalancePage
from services.ingress.claimant import Claimant
from services.ingress.completions import Completions
from services.ingress.core import catalog_pages
from services.ingress.core.answers import error_body
from services.ingress.replies import RepliesReader
from services.ingress.settings import IngressSettings
from services.ingress.waiting import WaitingRoom

PREFIXES = ("/api/gateway", "/api/gateway/v1")
PATHS = {
    Surface.CHAT_COMPLETIONS: "/chat/completions",
    Surface.RESPONSES: "/responses",
    Surface.MESSAGES: "/messages",
    Surface.EMBEDDINGS: "/embeddings",
    Surface.FIM: "/fim/completions",
}


@asynccontextmanager
async def build(service: Service) -> AsyncIterator[None]:
    """HTTP in, requests and prompts out; replies in, HTTP out."""
    config, settings = GatewayConfig(), IngressSettings()
    ingress_id = f"ingress-{secrets.token_hex(8)}"
    authenticator = Authenticator()
    watch = BrokerWatch(service.bus)
    room = WaitingRoom()
    replies = RepliesReader(service, room)
    claimant = Claimant(service, ingress_id, on_claimed=replies.claimed, on_lost=replies.lost)
    catalog = Catalog(config)
    balances = View(topics.BALANCES)
    completions = Completions(
        config, catalog, authenticator, balances, claimant, replies, room, service, watch, ingress_id
    )
    application = _application(catalog, completions, BalancePage(authenticator, balances))
    views = service.views(*authenticator.views, balances)
    service.health.check("reply partition", lambda: claimant.held is not None and replies.ready)
    service.health.check("broker", lambda: watch.up)
    server = HttpServer(
        application,
        settings.host,
        settings.port,
        timeout_graceful_shutdown=settings.drain_s,
        timeout_keep_alive=75,
    )
    async with service.running(watch, views):
        await views.wait_ready()
        async with service.running(replies, claimant, server):
            yield


def _application(catalog: Catalog, completions: Completions, balance: BalancePage) -> Starlette:
    def page(make: Callable[[], Any]) -> Callable[[Request], Response]:
        async def show(_request: Request) -> Response:
            return Response(orjson.dumps(make()), media_type="application/json")

        return show  # type: ignore[return-value]

    async def endpoints(request: Request) -> Response:
        found = catalog_pages.endpoints(catalog, request.path_params["model"], datetime.now(UTC))
        if found is None:
            return Response(error_body(Refusal(status=404, message="Not Found")), 404, media_type="application/json")
        return Response(orjson.dumps(found), media_type="application/json")

    routes = []
    for prefix in PREFIXES:
        routes += [
            *(
                Route(f"{prefix}{path}", completions.endpoint(surface), methods=["POST"])
                for surface, path in PATHS.items()
            ),
            Route(f"{prefix}/balance", balance),
            Route(f"{prefix}/models", page(lambda: catalog_pages.models(catalog, datetime.now(UTC)))),
            Route(f"{prefix}/models/{{model:path}}/endpoints", endpoints),
            Route(f"{prefix}/providers", page(lambda: catalog_pages.providers(catalog))),
        ]
    routes.append(Route("/api/fim/completions", completions.endpoint(Surface.FIM), methods=["POST"]))
    return Starlette(routes=routes, exception_handlers={HTTPException: _no_route, Exception: _failed})


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = error.detail
    if error.status_code == 404:
        message = f"There is no route {request.method} {request.url.path[:200]}; the API begins at {PREFIXES[0]}."
    elif error.status_code == 405:
        message = f"{request.url.path[:200]} does not answer {request.method}."
    body = error_body(Refusal(status=error.status_code, message=message))
    return Response(body, error.status_code, media_type="application/json", headers=error.headers)


async def _failed(_request: Request, _error: Exception) -> Response:
    body = error_body(Refusal(status=500, message="The gateway failed; it was logged. Try again."))
    return Response(body, 500, media_type="application/json")
