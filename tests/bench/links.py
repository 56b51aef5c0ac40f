"""What can be broken around a service: its network, a TCP link of its own to the broker, and its clock."""

import asyncio
import contextlib
import shutil
import struct
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
COMPILER = shutil.which("cc")
CLOCK_SOURCE = Path(__file__).with_name("clock.c")


class Link:
    """Passes bytes on; while it is cut it keeps them, as a network does that loses a cable: no connection is closed."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = target
        self._passes, self._answers = asyncio.Event(), asyncio.Event()
        self._passes.set()
        self._answers.set()
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

    async def half_open(self, for_s: float) -> None:
        """What is sent arrives meanwhile, and no answer comes; connections stay open."""
        self._answers.clear()
        try:
            await asyncio.sleep(for_s)
        finally:
            self._answers.set()

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
        for one in (self._pass(reader, far_writer, self._passes), self._pass(far_reader, writer, self._answers)):
            task = asyncio.create_task(one)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, open_: asyncio.Event) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(PIECE_BYTES):
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                await self._passes.wait()
                await open_.wait()
                writer.write(piece)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.close()


class Clock:
    """The time of day of one service's processes; waits go on as they do, as where somebody sets a clock."""

    def __init__(self, library: Path, file: Path) -> None:
        """
        Args:
            library: `clock.c`, compiled.
            file: says to the service's processes how far their clock is off.
        """
        self._library = library
        self._file = file.open("wb", buffering=0)
        self._set(0)

    def environment(self) -> dict[str, str]:
        """Of the service."""
        return {"LD_PRELOAD": str(self._library), "SLUICE_TEST_CLOCK": self._file.name}

    async def jump(self, by_s: float, for_s: float) -> None:
        """Jumps, and back again."""
        self._set(int(by_s))
        try:
            await asyncio.sleep(for_s)
        finally:
            self._set(0)

    def _set(self, by_s: int) -> None:
        self._file.seek(0)
        self._file.write(struct.pack("q", by_s))


async def compiled_clock(folder: Path) -> Path:
    """`clock.c` as a library that is loaded before others."""
    assert COMPILER
    library = folder / "clock.so"
    command = (COMPILER, "-shared", "-fPIC", "-O2", "-Wall", "-o", str(library), str(CLOCK_SOURCE), "-ldl")
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0, "clock.c cannot be compiled"
    return library


@dataclass(slots=True)
class LinkedBroker:
    """A broker that each service reaches by a link of its own."""

    child: Child
    links: dict[str, Link]
    settings: BusSettings
    clocks: dict[str, Clock]
    """By service; none where there is no C compiler."""

    @property
    def admin(self) -> BusSettings:
        """Of whoever looks on; by no link."""
        return self.settings

    def environment(self, service: str) -> dict[str, str]:
        """A service's way to the broker."""
        clock = self.clocks[service].environment() if service in self.clocks else {}
        return {"SLUICE_KAFKA_BOOTSTRAP": f"{LOOPBACK}:{self.links[service].port}"} | clock


@contextlib.asynccontextmanager
async def linked_broker(folder: Path, *, clocks: bool = False) -> AsyncIterator[LinkedBroker]:
    """Runs a broker with a listener for each service, which names the service's link as its own address.

    Args:
        clocks: services have clocks of their own, where there is a C compiler.
    """
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
    command = run_command(installation, properties)

    async def started() -> None:
        await wait_until_open(port, within_s=OPEN_WITHIN_S, what="Apache Kafka")

    child = Child("broker", lambda: command, plain_environment(), folder / "broker.log", on_started=started)
    await child.start()
    try:
        await set_up_topics(settings, within_s=OPEN_WITHIN_S, broker="Apache Kafka")
        for link in links.values():
            await link.start()
        own: dict[str, Clock] = {}
        if clocks and COMPILER:
            library = await compiled_clock(folder)
            own = {service: Clock(library, folder / f"clock-{service}") for service in SERVICES}
        yield LinkedBroker(child, links, settings, own)
    finally:
        for link in links.values():
            with contextlib.suppress(AttributeError):
                await link.stop()
        await child.stop(within_s=5)
