"""The management API over HTTP. The CLI is its client."""

import hmac
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from libs.bus.received import describe
from libs.database.pool import AWAY
from libs.identity.tokens import API_KEY_TTL_S
from services.console.errors import BadInput, ConsoleError, NotAllowed
from services.console.store import ControlStore

B = TypeVar("B", bound="_Body")
MOST_BODY_BYTES = 64 * 1024
_EMAIL = r"^[^@\s]{1,64}@[^@\s]{1,190}$"


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AccountCreate(_Body):
    """``POST /api/accounts``."""

    email: Annotated[str, Field(pattern=_EMAIL)]


class KeyCreate(_Body):
    """``POST /api/accounts/{id}/keys``."""

    name: Annotated[str, Field(min_length=1, max_length=100)] = "default"
    ttl_s: Annotated[int, Field(gt=0, le=API_KEY_TTL_S)] = API_KEY_TTL_S
    """Seconds."""


class ManagementApi:
    """The routes; every call needs the operator token."""

    def __init__(self, store: ControlStore, operator_token: str, changed: Callable[[], None]) -> None:
        """
        Args:
            changed: called after each change, so that the outbox is published at once.
        """
        self._store = store
        self._operator_token = operator_token.encode()
        self._changed = changed

    def application(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/api/accounts", self._create_account, methods=["POST"]),
                Route("/api/accounts", self._list_accounts, methods=["GET"]),
                Route("/api/accounts/{account_id}/keys", self._create_key, methods=["POST"]),
                Route("/api/accounts/{account_id}/keys", self._list_keys, methods=["GET"]),
                Route("/api/keys/{key_id}", self._revoke_key, methods=["DELETE"]),
            ],
            exception_handlers={
                ConsoleError: _refused,
                HTTPException: _no_route,
                **dict.fromkeys(AWAY, _database_away),
            },
        )

    async def _create_account(self, request: Request) -> Response:
        body = await self._body(request, AccountCreate)
        account_id = await self._store.create_account(body.email)
        self._changed()
        return _json({"id": account_id}, 201)

    async def _list_accounts(self, request: Request) -> Response:
        self._authorize(request)
        return _json(await self._store.accounts())

    async def _create_key(self, request: Request) -> Response:
        body = await self._body(request, KeyCreate)
        issued = await self._store.create_key(request.path_params["account_id"], body.name, body.ttl_s)
        return _json({"id": issued.key_id, "key": issued.token, "expires_at": issued.expires_at}, 201)

    async def _list_keys(self, request: Request) -> Response:
        self._authorize(request)
        return _json(await self._store.keys(request.path_params["account_id"]))

    async def _revoke_key(self, request: Request) -> Response:
        self._authorize(request)
        await self._store.revoke_key(request.path_params["key_id"])
        self._changed()
        return _json({"id": request.path_params["key_id"], "revoked": True})

    def _authorize(self, request: Request) -> None:
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), b"Bearer " + self._operator_token):
            raise NotAllowed("the management API needs `Authorization: Bearer <operator token>`")

    async def _body(self, request: Request, kind: type[B]) -> B:
        self._authorize(request)
        raw = bytearray()
        async for piece in request.stream():
            raw += piece
            if len(raw) > MOST_BODY_BYTES:
                raise BadInput(f"the body is larger than {MOST_BODY_BYTES} bytes")
        try:
            return kind.model_validate_json(bytes(raw) or b"{}")
        except ValidationError as error:
            raise BadInput(f"the body is not right: {describe(error)}") from None


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content, default=_iso), status, media_type="application/json")


def _iso(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError


def _error(status: int, message: str) -> Response:
    return _json({"error": {"message": message, "code": status}}, status)


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ConsoleError)
    return _error(error.status, str(error))


async def _no_route(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, error.detail)


async def _database_away(_request: Request, _error_: Exception) -> Response:
    return _error(503, "the control database is away; nothing was changed, try again")
