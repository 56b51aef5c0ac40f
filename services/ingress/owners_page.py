"""Pages for who has an API key."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from contracts.requests import Caller
from services.ingress.body import ClientGone
from services.ingress.core.admission import bearer_token
from services.ingress.core.answers import refused, whole
from services.ingress.core.errors import IngressError, Unauthorized
from services.ingress.visitors import Visitor, Visitors


@dataclass(frozen=True, slots=True)
class Asking:
    """One request of somebody with an API key."""

    request: Request
    send: Send
    visitor: Visitor
    caller: Caller
    api_key: str

    @property
    def owner(self) -> str:
        """Whose things are meant."""
        return self.caller.owner

    async def answer(self, content: Any) -> None:
        """Sends JSON."""
        for message in whole(200, orjson.dumps(content), []):
            await self.send(message)


Answer = Callable[[Asking], Awaitable[None]]


class OwnersPage:
    """The ASGI application of one page. An answer that has begun breaks off where it cannot go on."""

    def __init__(self, visitors: Visitors, methods: Mapping[str, Answer]) -> None:
        """
        Args:
            methods: what answers to each.
        """
        self._visitors = visitors
        self._methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        request, began = Request(scope, receive), False

        async def send_on(message: Any) -> None:
            nonlocal began
            began = True
            await send(message)

        try:
            visitor = await self._visitors.visitor(scope)
            api_key = bearer_token(visitor.headers)
            if visitor.caller is None or api_key is None:
                raise Unauthorized("This is for accounts: send `Authorization: Bearer <api key>`.")
            answer = self._methods["GET" if request.method == "HEAD" else request.method]
            await answer(Asking(request, send_on, visitor, visitor.caller, api_key))
        except ClientGone:
            return
        except IngressError as error:
            if began:
                # The length that was announced does not come, so its client knows.
                raise
            for message in refused(error.refusal, []):
                await send(message)
