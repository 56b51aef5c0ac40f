"""What the ingress answers to: routes, and errors where there is none."""

from collections.abc import Mapping, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from contracts.record import Refusal
from contracts.requests import Surface
from libs.endpoints.registry import ENDPOINTS
from services.ingress.batches import BatchPages
from services.ingress.core.answers import error_body
from services.ingress.files import FilePages
from services.ingress.models import CatalogRoutes
from services.ingress.owners_page import Answer, OwnersPage
from services.ingress.visitors import Visitors

PREFIXES = ("/api/gateway", "/api/gateway/v1", "/api/openrouter", "/api/openrouter/v1", "/api/v1")
"""The first is the API's own; Kilo Code's clients and OpenRouter's ask the others."""
ROOT = "/api"
PATHS = {
    Surface.CHAT_COMPLETIONS: "/chat/completions",
    Surface.RESPONSES: "/responses",
    Surface.MESSAGES: "/messages",
    Surface.EMBEDDINGS: "/embeddings",
    Surface.FIM: "/fim/completions",
    Surface.COMPLETIONS: "/completions",
    **{surface: endpoint.path for surface, endpoint in ENDPOINTS.items()},
}
_GET = ["GET"]
IN_BATCHES = (
    Surface.CHAT_COMPLETIONS,
    Surface.RESPONSES,
    Surface.MESSAGES,
    Surface.EMBEDDINGS,
    Surface.COMPLETIONS,
    Surface.MODERATIONS,
    Surface.IMAGE_GENERATIONS,
    Surface.RERANK,
)
"""JSON in, JSON out."""
BATCH_PATHS = {
    "/files": ("POST", "GET"),
    "/files/{id}": ("GET", "DELETE"),
    "/files/{id}/content": ("GET",),
    "/batches": ("POST", "GET"),
    "/batches/{id}": ("GET",),
    "/batches/{id}/cancel": ("POST",),
}
"""Methods by path."""
FAILED = Refusal(status=500, message="The gateway failed; it was logged. Try again.")


def completion_paths(*surfaces: Surface) -> list[str]:
    """Where requests of some surfaces, or of all, come in."""
    return [
        prefix + path for prefix in PREFIXES for surface, path in PATHS.items() if surface in surfaces or not surfaces
    ]


def batch_routes(visitors: Visitors, files: FilePages, batches: BatchPages) -> list[tuple[str, ASGIApp, list[str]]]:
    """``/files`` and ``/batches``."""
    answers: dict[str, list[Answer]] = {
        "/files": [files.create, files.list],
        "/files/{id}": [files.show, files.delete],
        "/files/{id}/content": [files.content],
        "/batches": [batches.create, batches.list],
        "/batches/{id}": [batches.show],
        "/batches/{id}/cancel": [batches.cancel],
    }
    return [
        (path, OwnersPage(visitors, dict(zip(methods, answers[path], strict=True))), list(methods))
        for path, methods in BATCH_PATHS.items()
    ]


def application(
    catalog: CatalogRoutes,
    surfaces: Mapping[Surface, ASGIApp],
    *,
    balance: ASGIApp,
    profile: ASGIApp,
    profile_balance: ASGIApp,
    counting: ASGIApp,
    response: ASGIApp,
    input_items: ASGIApp,
    generation: ASGIApp,
    request: ASGIApp,
    answer_cache: ASGIApp,
    stream: ASGIApp,
    openapi: ASGIApp,
    mcp: ASGIApp,
    batches: Sequence[tuple[str, ASGIApp, list[str]]] = (),
) -> Starlette:
    """All routes.

    Args:
        surfaces: the application of each.
        balance: of ``GET /balance``.
        profile: of ``GET /api/profile``.
        profile_balance: of ``GET /api/profile/balance``.
        counting: of ``POST /messages/count_tokens``.
        response: of ``GET`` and ``DELETE /responses/{id}``, and of its ``cancel``.
        input_items: of ``GET /responses/{id}/input_items``.
        generation: of ``GET /generation?id=``.
        request: of ``GET /requests/{id}``.
        answer_cache: of ``DELETE /cache``.
        stream: of ``GET`` and ``DELETE /streams/{id}``.
        openapi: of ``GET /openapi.json``.
        mcp: of ``POST /mcp``.
        batches: of ``/files`` and ``/batches``, by path, with their methods.
    """

    routes = []
    for prefix in PREFIXES:
        routes += [
            *(Route(f"{prefix}{path}", surfaces[surface], methods=["POST"]) for surface, path in PATHS.items()),
            Route(f"{prefix}{PATHS[Surface.MESSAGES]}/count_tokens", counting, methods=["POST"]),
            Route(f"{prefix}{PATHS[Surface.RESPONSES]}/{{id}}", response, methods=["GET", "DELETE"]),
            Route(f"{prefix}{PATHS[Surface.RESPONSES]}/{{id}}/cancel", response, methods=["POST"]),
            Route(f"{prefix}{PATHS[Surface.RESPONSES]}/{{id}}/input_items", input_items, methods=_GET),
            Route(f"{prefix}/streams/{{id}}", stream, methods=["GET", "DELETE"]),
            Route(f"{prefix}/balance", balance, methods=_GET),
            Route(f"{prefix}/generation", generation, methods=_GET),
            Route(f"{prefix}/mcp", mcp, methods=["POST"]),
            Route(f"{prefix}/cache", answer_cache, methods=["DELETE"]),
            Route(f"{prefix}/requests/{{id}}", request, methods=_GET),
            *(Route(f"{prefix}{path}", page, methods=methods) for path, page, methods in batches),
            *(Route(f"{prefix}{path}", page, methods=_GET) for path, page in catalog.by_path.items()),
            *(Route(f"{prefix}{path}", page, methods=_GET) for path, page in catalog.of_organization.items()),
        ]
    routes += [
        Route("/openapi.json", openapi, methods=_GET),
        Route(f"{ROOT}{PATHS[Surface.FIM]}", surfaces[Surface.FIM], methods=["POST"]),
        Route(f"{ROOT}/profile", profile, methods=_GET),
        Route(f"{ROOT}/profile/balance", profile_balance, methods=_GET),
        *(Route(f"{ROOT}{path}", page, methods=_GET) for path, page in catalog.of_account.items()),
        *(Route(f"{ROOT}{path}", page, methods=_GET) for path, page in catalog.of_organization.items()),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _no_route, Exception: _failed})


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = error.detail
    if error.status_code == 404:
        message = f"There is no route {request.method} {request.url.path[:200]}; the API begins at {PREFIXES[0]}."
    elif error.status_code == 405:
        message = f"{request.url.path[:200]} does not answer {request.method}."
    return _refused(request, Refusal(status=error.status_code, message=message), error.headers)


async def _failed(request: Request, _error: Exception) -> Response:
    return _refused(request, FAILED)


def _refused(request: Request, refusal: Refusal, headers: Mapping[str, str] | None = None) -> Response:
    """An error in the shape of the client's surface, which Anthropic's clients show by their version header, too."""
    anthropics = tuple(prefix + PATHS[Surface.MESSAGES] for prefix in PREFIXES)
    speaks_messages = request.url.path.startswith(anthropics) or "anthropic-version" in request.headers
    body = error_body(refusal, Surface.MESSAGES if speaks_messages else Surface.CHAT_COMPLETIONS)
    return Response(body, refusal.status, media_type="application/json", headers=headers)
