"""A webhook of guardrails, as an organization may have one."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deploy.local.ports import LOOPBACK, free_port
from libs.outbound.signatures import secrets_of, signed_headers
from libs.runtime.server import HttpServer


@dataclass
class HookReceiver:
    """A webhook that answers what it is told to."""

    answer: dict[str, Any] | bytes = field(default_factory=lambda: {"action": "allow"})
    status: int = 200
    hangs: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    secret: str = ""

    async def take(self, request: Request) -> Response:
        """One question."""
        body = await request.body()
        signed = signed_headers(
            request.headers["webhook-id"], body, secrets_of(self.secret), int(request.headers["webhook-timestamp"])
        )
        assert request.headers["webhook-signature"] == signed["webhook-signature"]
        self.asked.append(json.loads(body))
        if self.hangs:
            await self.over.wait()
        content = self.answer if isinstance(self.answer, bytes) else json.dumps(self.answer)
        return Response(content, self.status, headers={"location": self.url})


@asynccontextmanager
async def hook_receiver(secret: str) -> AsyncIterator[HookReceiver]:
    """Serves meanwhile.

    Args:
        secret: that all must be signed with; empty: until one is set.
    """
    found, port = HookReceiver(secret=secret), free_port()
    found.url = f"http://{LOOPBACK}:{port}/check"
    server = HttpServer(Starlette(routes=[Route("/check", found.take, methods=["POST"])]), LOOPBACK, port)
    await server.start()
    try:
        yield found
    finally:
        found.over.set()
        await server.stop()
