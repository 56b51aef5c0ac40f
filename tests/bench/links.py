"""A network that can be broken: one TCP link for each service, between it and the broker."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from deploy.local.child import Child
from deploy.local.home import plain_environment
from deploy.local.kafka.installation import install
from deploy.local.kafka.server import OPEN_WITHIN_S, new_cluster_id, prepare_node, run_command, server_properties
from deploy.local.kafka.startup_cache import ensure_startup_cache
from deploy.local.ports import LOOPBACK, free_port, wait_until_open
from deploy.local.stack import KAFKA_STORE, SERVICES, SESSION_TIMEOUT_MS
from deploy.local.topics import set_up_topics
from libs.bus.settings import BusSettings
from services.cli.output import report

PIECE_BYTES = 64 * 1024


class Link:
    """Passes bytes on; while it is cut it keeps them, as a network does that loses a cable: no connection is closed."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = target
        self._passes = asyncio.Event()
        self._passes.set()
        self._delay_s = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listens."""
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port)

    async def stop(self) -> None:
        """Ends all connections."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def cut(self, for_s: float) -> None:
        """Nothing passes meanwhile; connections stay open."""
        self._passes.clear()
        try:
            await asyncio.sleep(for_s)
        finally:
            self._passes.set()

    async def delay(self, by_s: float, for_s: float) -> None:
        """All that passes meanwhile comes later."""
        self._delay_s = by_s
        try:
            await asyncio.sleep(for_s)
        finally:
            self._delay_s = 0.0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(LOOPBACK, self._target)
        except OSError:
            writer.close()
            return
        for one in (self._pass(reader, far_writer), self._pass(far_reader, writer)):
            task = asyncio.create_task(one)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(PIECE_BYTES):
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                await self._passes.wait()
                writer.write(piece)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.close()


@dataclass(slots=True)
class LinkedBroker:
    """A broker that each service reaches by a link of its own."""

    child: Child
    links: dict[str, Link]
    settings: BusSettings

    @property
    def admin(self) -> BusSettings:
        """Of whoever looks on; by no link."""
        return self.settings

    def environment(self, service: str) -> dict[str, str]:
        """A service's way to the broker."""
        return {"SLUICE_KAFKA_BOOTSTRAP": f"{LOOPBACK}:{self.links[service].port}"}


@contextlib.asynccontextmanager
async def linked_broker(folder: Path) -> AsyncIterator[LinkedBroker]:
    """Runs a broker with a listener for each service, which names the service's link as its own address."""
    installation = await asyncio.to_thread(install, KAFKA_STORE, report)
    await ensure_startup_cache(installation, report)
    port, behind = free_port(), {service: free_port() for service in SERVICES}
    links = {service: Link(behind[service]) for service in SERVICES}
    names = {service: service.replace("-", "").upper() for service in SERVICES}
    listeners = ",".join(f"{names[service]}://{LOOPBACK}:{behind[service]}" for service in SERVICES)
    advertised = ",".join(f"{names[service]}://{LOOPBACK}:{links[service].port}" for service in SERVICES)
    kinds = ",".join(f"{name}:PLAINTEXT" for name in ("PLAINTEXT", "CONTROLLER", *names.values()))
    lines = []
    for line in server_properties(folder / "broker" / "data", port, free_port()).splitlines():
        name = line.partition("=")[0]
        lines.append(line + {"listeners": f",{listeners}", "advertised.listeners": f",{advertised}"}.get(name, ""))
    text = "\n".join([*lines, f"listener.security.protocol.map={kinds}", "inter.broker.listener.name=PLAINTEXT", ""])
    properties = await asyncio.to_thread(prepare_node, installation, folder / "broker", text, new_cluster_id())
    settings = BusSettings(bootstrap=f"{LOOPBACK}:{port}", session_timeout_ms=SESSION_TIMEOUT_MS)
    flags = (f"-XX:AOTCache={installation.cache}",) if installation.cache.exists() else ()
    command = run_command(installation, properties, flags)

    async def started() -> None:
        await wait_until_open(port, within_s=OPEN_WITHIN_S, what="Apache Kafka")

    child = Child("broker", lambda: command, plain_environment(), folder / "broker.log", on_started=started)
    await child.start()
    try:
        await set_up_topics(settings, within_s=OPEN_WITHIN_S, broker="Apache Kafka")
        for link in links.values():
            await link.start()
        yield LinkedBroker(child, links, settings)
    finally:
        for link in links.values():
            with contextlib.suppress(AttributeError):
                await link.stop()
        await child.stop(within_s=5)
