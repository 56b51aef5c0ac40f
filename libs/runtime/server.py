"""An HTTP server inside the loop of a process."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from libs.runtime.connection import Connections, Gate, bounded


class _QuietServer(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """A uvicorn server that leaves signals to the process, and the client's address to who knows the proxies."""

    def __init__(
        self,
        application: Any,
        host: str,
        port: int,
        *,
        connections: Connections | None = None,
        gate: Gate | None = None,
        **options: Any,
    ) -> None:
        configuration = uvicorn.Config(
            application,
            http=bounded(connections or Connections(), gate),  # type: ignore[arg-type]
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            # uvicorn would believe X-Forwarded-For from loopback.
            proxy_headers=False,
            **options,
        )
        self._server = _QuietServer(configuration)
        self._address = (host, port)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listens. Raises OSError where the port is taken."""
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        listener = socket.create_server(self._address, family=family, backlog=2048)
        self._task = asyncio.create_task(self._server.serve([listener]))
        while not self._server.started and not self._task.done():
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Lets running answers end, for as long as uvicorn's graceful time-out says."""
        self._server.should_exit = True
        if self._task:
            await self._task
