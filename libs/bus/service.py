"""The life of a service process: logs, traces, health, producer; start, serve until SIGTERM, drain."""

import asyncio
import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol

import structlog
import uvicorn
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from libs.bus.consumer import Consumer
from libs.bus.dead_letters import DeadLetters
from libs.bus.follower import Follower
from libs.bus.producer import Producer
from libs.bus.settings import BusSettings
from libs.bus.views import View, ViewReader
from libs.bus.watch import BrokerWatch
from libs.telemetry.health import Health
from libs.telemetry.logs import configure_logs
from libs.telemetry.tracing import configure_tracing, shutdown_tracing

log = structlog.get_logger()


class _Startable(Protocol):
    async def start(self) -> None: ...
    async def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Runtime:
    """What every service is given."""

    name: str
    bus: BusSettings
    producer: Producer
    watch: BrokerWatch
    health: Health
    dead_letters: DeadLetters

    def consumer(self, **options: Any) -> Consumer:
        """A member of a consumer group; the options are those of `Consumer`."""
        return Consumer(self.bus, self.watch, self.producer, **options)

    def views(self, *views: View[Any]) -> ViewReader:
        """The reader of some control views."""
        return ViewReader(self.bus, self.watch, self.dead_letters, views)

    @asynccontextmanager
    async def running(self, *parts: _Startable) -> AsyncIterator[None]:
        """Starts parts in order, waiting for the broker as long as it takes; stops them in reverse.

        Consumers that stand side by side join their groups at the same time: each join takes seconds.
        """
        async with AsyncExitStack() as stack:
            for together, group in groupby(parts, key=lambda part: isinstance(part, Consumer)):
                if together:
                    await asyncio.gather(*(self._add(part, stack) for part in group))
                else:
                    for part in group:
                        await self._add(part, stack)
            yield

    async def _add(self, part: _Startable, running: AsyncExitStack) -> None:
        await _start(part)
        running.push_async_callback(part.stop)
        if isinstance(part, Consumer):
            self.health.lag(part.lag)
            self.health.check(f"group {part.group}", lambda: part.ready)
        elif isinstance(part, Follower):
            self.health.check(type(part).__name__.lower(), lambda: part.ready)


async def _start(part: _Startable) -> None:
    while True:
        try:
            await part.start()
            return
        except KafkaError as error:
            log.warning("waiting for the broker", error=repr(error)[:200])
            await asyncio.sleep(0.3)


class _QuietServer(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """A uvicorn server inside our own loop, which leaves signals to the service."""

    def __init__(self, application: Any, host: str, port: int, **options: Any) -> None:
        configuration = uvicorn.Config(application, log_config=None, access_log=False, lifespan="off", **options)
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


Build = Callable[[Runtime], AbstractAsyncContextManager[None]]


def run(name: str, build: Build) -> None:
    """Runs one service until SIGTERM or SIGINT; the entry point of ``python -m services.<name>``.

    Environment: ``SLUICE_HEALTH_PORT`` (loopback; 0 picks one), ``SLUICE_HEALTH_HOST``, ``SLUICE_LOG_LEVEL``.
    """
    # No core dump: memory holds prompts, in the vault and the relays provider keys.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    configure_logs(name, os.environ.get("SLUICE_LOG_LEVEL", "INFO"))
    configure_tracing(name)
    try:
        import uvloop

        runner: Any = uvloop.run
    except ImportError:
        runner = asyncio.run
    try:
        runner(_run(name, build))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
        log.error("settings are not usable", problems=problems)
        sys.exit(2)
    finally:
        shutdown_tracing()


def _collect_seldom() -> None:
    """Spares the garbage collector what start-up has made, and most of its rounds.

    Almost nothing here is cyclic, so a round finds nothing, and every 700 new objects began one. With 64 clients that
    was a tenth of all CPU, and a fifth of the time of the slowest answers (the 95th percentile).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


async def _run(name: str, build: Build) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop.set)
    bus = BusSettings()
    producer = Producer(bus, name)
    health = Health(name)
    page = HttpServer(
        health.application(),
        os.environ.get("SLUICE_HEALTH_HOST", "127.0.0.1"),
        int(os.environ.get("SLUICE_HEALTH_PORT", "0")),
    )
    await page.start()
    runtime = Runtime(name, bus, producer, BrokerWatch(bus), health, DeadLetters(producer, name))
    started = asyncio.Event()
    serving = asyncio.create_task(_serve(runtime, build, stop, started))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not started.is_set():
        serving.cancel()
    try:
        await serving
    except asyncio.CancelledError:
        log.info("stopped before it was ready")
    await page.stop()


async def _serve(runtime: Runtime, build: Build, stop: asyncio.Event, started: asyncio.Event) -> None:
    await _start(runtime.producer)
    try:
        async with runtime.running(runtime.watch), build(runtime):
            started.set()
            _collect_seldom()
            runtime.health.serving()
            log.info("serving")
            await stop.wait()
            log.info("draining")
    finally:
        await runtime.producer.stop()
    log.info("stopped")
