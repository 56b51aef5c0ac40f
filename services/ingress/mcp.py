"""``POST /mcp``: one server of MCP, whose tools are those of all servers that its client's owner has registered.

It keeps no session, and has no stream to listen to: what is not about tools is answered here, and each other message is
a request on the log.
"""

import time
from collections.abc import Container

from starlette.types import Receive, Scope, Send

from contracts.clock import now_ms
from contracts.record import JSON, Lasting
from contracts.requests import Surface
from libs.config.gateway import GatewayConfig
from libs.config.versions import CatalogVersions
from libs.ids import made_at_ms, new_id
from libs.mcp import messages as rpc
from libs.mcp.envelope import Envelope
from libs.mcp.server import Served, answered, check_modern, revision_of, served
from libs.version import VERSION
from services.ingress.body import Body, ClientGone
from services.ingress.core.admission import content_type_of
from services.ingress.core.answers import Message, whole
from services.ingress.core.errors import BadRequest, Forbidden, IngressError, Unauthorized
from services.ingress.core.mcp import UNAUTHENTICATED, McpAnswering, accept, refused_message
from services.ingress.door import Door
from services.ingress.entrance import Admitted, Entrance
from services.ingress.measuring import measure_refused
from services.ingress.publishing import Publishing
from services.ingress.serving import Client, Serving
from services.ingress.visitors import Visitor, Visitors

MOST_NODES = 100_000


class McpPage:
    """The ASGI application of ``/mcp``."""

    def __init__(
        self,
        config: GatewayConfig,
        versions: CatalogVersions,
        visitors: Visitors,
        door: Door,
        entrance: Entrance,
        publishing: Publishing,
        serving: Serving,
        known: Container[str],
    ) -> None:
        """
        Args:
            known: IDs of what is stored for owners, servers among it.
        """
        self._config = config
        self._versions = versions
        self._visitors = visitors
        self._door = door
        self._entrance = entrance
        self._publishing = publishing
        self._serving = serving
        self._known = known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one message."""
        began_s = time.perf_counter()
        try:
            visitor = await self._visitors.visitor(scope)
            _check_origin(visitor)
            _check_once(visitor)
            if visitor.owner is None:
                raise Unauthorized("Send `Authorization: Bearer <api key>`.")
            with await self._visitors.read_json(visitor, receive, MOST_NODES) as body:
                await self._serve(visitor, body, receive, send, began_s)
        except rpc.RpcError as error:
            measure_refused(Surface.MCP, error.status, began_s)
            await _send(send, whole(error.status, error.encode(), []))
        except IngressError as error:
            measure_refused(Surface.MCP, error.status, began_s)
            headers = [UNAUTHENTICATED] if error.status == Unauthorized.status else []
            await _send(send, whole(error.status, refused_message(None, error.refusal), headers))
        except ClientGone:
            return

    async def _serve(self, visitor: Visitor, body: Body, receive: Receive, send: Send, began_s: float) -> None:
        content_type_of(visitor.headers, Surface.MCP)
        message = rpc.parse(body.data)
        revision = revision_of(message, visitor.headers)
        modern = revision in rpc.MODERN
        if message.method is None or message.id is None:
            # A notification has no answer, and the gateway asks its clients nothing.
            await _send(send, [{"type": "http.response.start", "status": 202}, {"type": "http.response.body"}])
            return
        if modern:
            check_modern(message, visitor.headers)
        wanted = served(message, modern=modern)
        if wanted is None:
            content = rpc.result(message.id, answered(message, modern=modern, version=VERSION))
            await _send(send, whole(200, content, []))
            return
        id, answering = message.id, McpAnswering(message.id, [])
        try:
            with await self._door.enter(visitor.owner) as stay:
                admitted = self._admit(wanted, visitor, body)
                answering = McpAnswering(id, [(b"x-request-id", admitted.request.request_id.encode())])
                # An answer takes long, and the log has what was asked.
                del message, wanted
                await self._serving.serve(admitted, Client(stay, receive, send, began_s), answering)
        except IngressError as error:
            await _send(send, answering.refused(error.refusal, answering.headers))

    def _admit(self, wanted: Served, visitor: Visitor, body: Body) -> Admitted:
        assert visitor.caller is not None
        envelope = Envelope.of(wanted, visitor.headers).encode()
        body.replace(envelope)
        request_id, started_ms = new_id(), now_ms()
        request = accept(
            wanted,
            visitor.caller,
            visitor.headers,
            request_id=str(request_id),
            voucher=visitor.voucher,
            known=self._known,
            catalog_version=self._versions.newest.version,
            prompt_bytes=len(envelope),
            reply_to=self._publishing.address(Lasting.CONNECTION),
            timeouts=self._config.timeouts,
            settings=self._config.mcp,
            now_ms=made_at_ms(request_id),
        )
        return Admitted(request, body, JSON, self._entrance.begin(request, visitor, started_ms))


def _check_origin(visitor: Visitor) -> None:
    """Pages of browsers are not served. Source: MCP 2026-07-28, "Streamable HTTP", "Security & Endpoint"."""
    if "origin" in visitor.headers:
        raise Forbidden("This endpoint is not for pages of browsers: there is an Origin header.")


def _check_once(visitor: Visitor) -> None:
    """Who sends a key relies on it."""
    if "idempotency-key" in visitor.headers:
        raise BadRequest("Calls of tools have no Idempotency-Key: one that is sent again is made again; leave it out.")


async def _send(send: Send, messages: list[Message]) -> None:
    for message in messages:
        await send(message)
