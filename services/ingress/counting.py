"""``POST /messages/count_tokens``: about how many tokens a request has, by the gateway's own estimate."""

from typing import Protocol

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from contracts.requests import Caller, Surface
from libs.config.catalog import Catalog
from services.ingress.core import admission, bodies
from services.ingress.core.answers import refused, whole
from services.ingress.core.errors import BadRequest, IngressError, TooLarge


class Authenticates(Protocol):
    """See `services.ingress.authentication.Authenticator`."""

    async def caller(self, token: str, organization_id: str | None) -> Caller:
        """Whose token it is."""


class TokenCountPage:
    """The ASGI application. No provider is asked: clients count to see whether a conversation still fits."""

    def __init__(self, authenticator: Authenticates, catalog: Catalog, *, most_bytes: int) -> None:
        """
        Args:
            most_bytes: of a body.
        """
        self._authenticator = authenticator
        self._catalog = catalog
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        try:
            count = await self._count(Request(scope, receive))
        except ClientDisconnect:
            return
        except IngressError as error:
            messages = refused(error.refusal, [], Surface.MESSAGES)
        else:
            messages = whole(200, orjson.dumps({"input_tokens": count}), [])
        for message in messages:
            await send(message)

    async def _count(self, request: Request) -> int:
        headers = admission.header_map(request.scope["headers"])
        admission.check_content_type(headers)
        token = admission.bearer_token(headers)
        if token is not None:
            await self._authenticator.caller(token, admission.organization_of(headers))
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > self._most_bytes:
                raise TooLarge(f"The body is larger than {self._most_bytes} bytes.")
        model, size = bodies.measured(bytes(body))
        admission.check_key(model, has_key=token is not None)
        if self._catalog.find(model) is None and model not in self._catalog.auto:
            raise BadRequest(f"The model {model!r} is not served here; GET /models lists those that are.")
        return size.tokens_about
