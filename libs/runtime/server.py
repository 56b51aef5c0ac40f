"""An HTTP server inside the loop of a process."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from libs.runtime.connection import Connections, Gate, bounded
from libs.runtime.supervised import inherited

BACKLOG = 2048
KEEP_ALIVE_S = 75
"""Longer than clients keep a connection they do not use (httpx: 5 s), so that none sends into one that is closing."""


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
        inherits: str | None = None,
        announce_s: float = 0.0,
        hurried: asyncio.Event | None = None,
        **options: Any,
    ) -> None:
        """
        Args:
            inherits: the name of its socket, where a supervisor has opened that; see `libs.runtime.supervised`.
            announce_s: for so long after `stop` connections are still accepted, for whoever has not noticed yet.
                Not where the socket is inherited: there a successor accepts them.
            hurried: set when answers that run are to be cut.
        """
        self._hurried = hurried or asyncio.Event()
        self._connections = connections or Connections()
        self._inherits = inherits
        self._announce_s = announce_s
        configuration = uvicorn.Config(
            application,
            http=bounded(self._connections, gate),  # type: ignore[arg-type]
            ws="none",
            log_config=None,
            # Of what anybody sends; a line for each would fill the disk.
            log_level="error",
            access_log=False,
            lifespan="off",
            # uvicorn would believe X-Forwarded-For from loopback.
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            **options,
        )
        self._server = _QuietServer(configuration)
        self._address = (host, port)
        self._task: asyncio.Task[None] | None = None
        self.inherited = False
        """A successor listens on the same socket."""

    async def start(self) -> None:
        """Listens. Raises OSError where the port is taken."""
        listener = inherited(self._inherits) if self._inherits else None
        self.inherited = listener is not None
        if listener is None:
            listener = self._listen()
        self._task = asyncio.create_task(self._server.serve([listener]))
        while not self._server.started and not self._task.done():
            await asyncio.sleep(0.005)

    def _listen(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        return socket.create_server(self._address, family=family, backlog=BACKLOG)

    async def stop(self) -> None:
        """Lets running answers end, for as long as uvicorn's graceful time-out says.

        Clients are asked to go elsewhere with their next request; see `Connections.draining`.
        """
        self._connections.draining = True
        for connection in list(self._server.server_state.connections):
            connection.shutdown()
        if self._announce_s and not self.inherited:
            await asyncio.sleep(self._announce_s)
        self._server.should_exit = True
        if self._task:
            hurried = asyncio.create_task(self._hurried.wait())
            await asyncio.wait({self._task, hurried}, return_when=asyncio.FIRST_COMPLETED)
            hurried.cancel()
            if not self._task.done():
                for running in self._server.server_state.tasks:
                    running.cancel()
                self._server.force_exit = True
            await self._task
