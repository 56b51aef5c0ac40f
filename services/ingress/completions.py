"""Requests of all surfaces, from the door to who answers them: a new answer, or one that was given before."""

import time
from collections.abc import Callable
from functools import partial

from starlette.types import ASGIApp, Receive, Scope, Send

from contracts.requests import Surface
from libs.sealing.kept import ClientKey
from services.ingress.again import give_again
from services.ingress.body import ClientGone
from services.ingress.core.admission import bearer_token, check_lasts
from services.ingress.core.answers import refused
from services.ingress.core.background import How, background_of
from services.ingress.core.errors import IngressError, Unavailable
from services.ingress.core.idempotency import client_key, fingerprint
from services.ingress.door import Door
from services.ingress.entrance import Admitted, Entrance
from services.ingress.gate import Gate
from services.ingress.measuring import measure_again, measure_refused
from services.ingress.once import Once, Wanted
from services.ingress.serving import Client, Serving
from services.ingress.streams import position_of
from services.ingress.visitors import Visitor, Visitors


class Completions:
    """Serves all surfaces; `endpoint` is the ASGI application of one."""

    def __init__(
        self,
        door: Door,
        gate: Gate,
        visitors: Visitors,
        entrance: Entrance,
        once: Once,
        serving: Serving,
        is_full: Callable[[], bool],
    ) -> None:
        """
        Args:
            is_full: so many clients wait or read that nobody else may.
        """
        self._door = door
        self._gate = gate
        self._visitors = visitors
        self._entrance = entrance
        self._once = once
        self._serving = serving
        self._is_full = is_full

    def endpoint(self, surface: Surface) -> ASGIApp:
        """The application of one surface."""
        return _Endpoint(partial(self._serve, surface))

    async def _serve(self, surface: Surface, scope: Scope, receive: Receive, send: Send) -> None:
        began_s = time.perf_counter()
        try:
            if self._is_full():
                raise Unavailable("The gateway is full; try again in a moment.", retry_after_s=1)
            visitor = await self._visitors.visitor(scope)
            self._gate.remember(scope["headers"], visitor.owner)
            with await self._door.enter(visitor.share) as stay:
                client = Client(stay, receive, send, began_s)
                key = client_key(visitor.headers, bearer_token(visitor.headers), visitor.owner)
                if key:
                    await self._serve_once(key, surface, visitor, client)
                else:
                    await self._serving.serve(await self._entrance.admit(surface, visitor, receive), client)
        except IngressError as error:
            measure_refused(surface, error.status, began_s)
            for message in refused(error.refusal, [], surface):
                await send(message)
        except ClientGone:
            return

    async def run_once(self, surface: Surface, visitor: Visitor, key: ClientKey, receive: Receive, send: Send) -> None:
        """Serves a request that no connection has brought.

        Raises:
            IngressError: it is refused.
        """
        began_s = time.perf_counter()
        with await self._door.enter(visitor.share) as stay:
            await self._serve_once(key, surface, visitor, Client(stay, receive, send, began_s))

    async def _serve_once(self, key: ClientKey, surface: Surface, visitor: Visitor, client: Client) -> None:
        check_lasts(visitor.headers)
        at = position_of(visitor.headers, {})
        self._entrance.check_kept()
        body, content_type = await self._entrance.read(surface, visitor, client.receive)
        how = background_of(surface, body.data)
        wanted = Wanted(visitor.share or "", key, fingerprint(key, surface, content_type, body.data), at, how)

        async def accept() -> Admitted:
            return await self._entrance.accept(surface, visitor, body, content_type, key)

        async with self._once.settled(wanted, body, accept, client.receive) as found:
            if isinstance(found, Admitted):
                await self._serving.serve(found, client)
                return
            if how is How.AT_ONCE:
                status = await self._serving.show_again(found, wanted, visitor, client)
            else:
                status = await give_again(found, surface, at, client.stay, client.send)
            measure_again(surface, status, client.began_s)


class _Endpoint:
    """Starlette takes functions for endpoints that want a Request; an object is an application."""

    def __init__(self, serve: ASGIApp) -> None:
        self._serve = serve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        await self._serve(scope, receive, send)
