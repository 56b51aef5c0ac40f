"""A service on the log: what its process is given, and how its parts start and stop."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Any, Protocol, TypeVar

import structlog
from aiokafka.errors import KafkaError

from contracts.record import Record
from contracts.services import Group, ServiceSpec
from contracts.topic import Topic
from libs.bus.dead_letters import DeadLetters
from libs.bus.follower import Follower, From
from libs.bus.group import GroupMember
from libs.bus.placing import partition_of
from libs.bus.processor import Processor, Work
from libs.bus.producer import Producer
from libs.bus.reading import find_about, read_one, read_to_end
from libs.bus.records import Deleted, PoisonError, Raw, Received, decode, decode_state
from libs.bus.replay import Replay
from libs.bus.settings import BusSettings
from libs.bus.signing import SigningSettings, Trust
from libs.bus.views import View, ViewReader
from libs.runtime.background import Repeated
from libs.runtime.health import Health
from libs.runtime.huge_pages import use_huge_pages
from libs.runtime.process import Stop, collect_garbage_seldom, run_process
from libs.runtime.server import HttpServer
from libs.telemetry.exported import is_exported
from libs.telemetry.instruments import ALL, LAG
from libs.telemetry.resource import resource

log = structlog.get_logger()

R = TypeVar("R", bound=Record)
RETRY_S = 0.3


class Part(Protocol):
    """Something that starts and stops with its service. What it does beside the records is its ``background``."""

    async def start(self) -> None:
        """Begins."""

    async def stop(self) -> None:
        """Ends."""


@dataclass(frozen=True, slots=True)
class Service:
    """What every service is given. It reads and writes what its `ServiceSpec` lists."""

    spec: ServiceSpec
    bus: BusSettings
    producer: Producer
    health: Health
    dead_letters: DeadLetters
    trust: Trust
    hurried: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it is to end at once what it lets end."""

    def member(
        self,
        group: Group[R],
        make: Callable[[Work], Processor[R]],
        *,
        client_id: str | None = None,
        static: bool = True,
        rewind_ms: Mapping[Topic[Any], int] | None = None,
        tick_s: float | None = None,
        drains_on: Topic[Any] | None = None,
        **options: Any,
    ) -> GroupMember[R]:
        """A member of one of the service's groups; see `GroupMember`.

        Args:
            static: it keeps its partitions over a restart, where `BusSettings.instance` names it.
        """
        families = tuple(f"{one.name}." for one in self.spec.groups if one.family)
        self._check(group in self.spec.groups or group.name.startswith(families), group.name)
        self._check(drains_on is None or drains_on in self.spec.reads, str(drains_on))
        return GroupMember(
            self.bus,
            self.producer,
            group,
            make,
            client_id=client_id or f"sluice-{group.name}",
            instance=self.bus.instance if static else None,
            rewind_ms=rewind_ms,
            tick_s=tick_s,
            drains_on=drains_on,
            trust=self.trust,
            **options,
        )

    def views(self, *views: View[Any], on_refused: Callable[[Topic[Any], str], None] | None = None) -> ViewReader:
        """The reader of some control views; see `ViewReader`."""
        for view in views:
            self._check(view.topic in self.spec.views, view.topic.name)
        return ViewReader(self.bus, self.dead_letters, views, self.trust, on_refused=on_refused)

    def replay(self, topic: Topic[Any], partition: int, places: asyncio.Semaphore) -> Replay:
        """Readers of one partition of a topic; see `Replay`."""
        self._check(topic in self.spec.follows, topic.name)
        return Replay(self.bus, topic, partition, places)

    def follower(
        self,
        topic: Topic[R],
        receive: Callable[[Received[R]], None],
        *,
        beside: Collection[Topic[R]] = (),
        partitions: Collection[int] | None = None,
        begin: From = From.BEGINNING,
        **options: Any,
    ) -> Follower:
        """Follows a topic outside of groups; see `Follower`.

        Args:
            beside: topics of the same partitions, which are followed, too.
            partitions: None means all.
        """
        for one in (topic, *beside):
            self._check(one in self.spec.follows, one.name)
        numbers = range(self.bus.partitions_of(topic)) if partitions is None else partitions
        chosen = [(one, number) for number in numbers for one in (topic, *beside)]
        return Follower(self.bus, self.dead_letters, chosen, receive, begin=begin, trust=self.trust, **options)

    async def recover(self, topic: Topic[R], **options: Any) -> "AsyncIterator[Received[R] | Deleted]":
        """Reads a topic to its present end; what cannot be decoded becomes a dead letter. See `read_to_end`."""
        self._check(topic in self.spec.reads, topic.name)
        async for raw in read_to_end(self.bus, topic, **options):
            try:
                yield decode_state(raw, self.trust)  # type: ignore[misc]
            except PoisonError as error:
                self.dead_letters.write_soon(raw, str(error))

    async def read_at(self, topic: Topic[R], partition: int, offset: int) -> Received[R] | None:
        """The record at an offset; None where there is none that can be decoded. See `read_one`."""
        self._check(topic in self.spec.reads, topic.name)
        return _decoded(topic, await read_one(self.bus, topic, partition, offset))

    async def find_about(
        self, topic: Topic[R], key: str, subject: str, *, since_ms: int, until_ms: int, most: int
    ) -> Received[R] | None:
        """The first record about a subject below a key; None also where it cannot be decoded. See
        `libs.bus.reading.find_about`.
        """
        self._check(topic in self.spec.reads, topic.name)
        partition = partition_of(self.bus, topic, key)
        raw = await find_about(self.bus, topic, partition, subject, since_ms=since_ms, until_ms=until_ms, most=most)
        return _decoded(topic, raw)

    @asynccontextmanager
    async def running(self, *parts: Part) -> AsyncIterator[None]:
        """Starts parts in order, waiting for the broker as long as it takes; stops them in reverse.

        Members that stand side by side join their groups at the same time.
        """
        async with AsyncExitStack() as stack:
            for together, group in groupby(parts, key=lambda part: isinstance(part, GroupMember)):
                if together:
                    await asyncio.gather(*(self._add(part, stack) for part in group))
                else:
                    for part in group:
                        await self._add(part, stack)
            yield

    async def _add(self, part: Part, running: AsyncExitStack) -> None:
        await _start(part)
        running.push_async_callback(part.stop)
        background = part if isinstance(part, Repeated) else getattr(part, "background", ())
        for work in [background] if isinstance(background, Repeated) else background:
            self.health.background(work)
        if isinstance(part, GroupMember):
            self.health.lag(part.lag)
            LAG.observe(part.group.name, part.lags)
            self.health.check(f"group {part.group.name}", lambda: part.ready)
            self.health.problem(f"group {part.group.name}", lambda: part.paused)
            self.health.problem(f"dead letters of {part.group.name}", lambda: part.dead_letters.problem)
        elif isinstance(part, Follower):
            self.health.check(part.background.name, lambda: part.ready)

    def _check(self, allowed: bool, what: str) -> None:
        if not allowed:
            raise PermissionError(f"{self.spec.name} may not read {what}: its ServiceSpec does not list it")


Build = Callable[[Service], AbstractAsyncContextManager[None]]


def run(spec: ServiceSpec, build: Build) -> None:
    """Runs one service until SIGTERM or SIGINT; the entry point of ``python -m services.<name>``.

    Environment: ``SLUICE_HEALTH_PORT`` (loopback; 0 picks one), ``SLUICE_HEALTH_HOST``, ``SLUICE_LOG_LEVEL``; see
    `BusSettings` and `SigningSettings`.
    """
    run_process(spec.name, partial(_main, spec, build))


async def _main(spec: ServiceSpec, build: Build, stop: Stop) -> None:
    bus = BusSettings()
    signing = SigningSettings()
    trust = signing.trust(spec)
    producer = Producer(bus, spec, signing.signer(spec))
    health = Health(spec.name)
    page = HttpServer(
        health.application(),
        os.environ.get("SLUICE_HEALTH_HOST", "127.0.0.1"),
        int(os.environ.get("SLUICE_HEALTH_PORT", "0")),
        inherits="health",
    )
    await page.start()
    service = Service(spec, bus, producer, health, DeadLetters(producer, spec.name), trust, stop.hurried)
    async with _metrics_exported(spec.name):
        started = asyncio.Event()
        serving = asyncio.create_task(_serve(service, build, stop.asked, started))
        stopping = asyncio.create_task(stop.asked.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        health.draining()
        if page.inherited:
            # Whoever asks is to meet the successor.
            await page.stop()
        if not started.is_set():
            serving.cancel()
        try:
            await serving
        except asyncio.CancelledError:
            log.info("stopped before it was ready")
    if not page.inherited:
        await page.stop()


@asynccontextmanager
async def _metrics_exported(service: str) -> AsyncIterator[None]:
    """Sends metrics by OTLP where somebody takes them, and the last totals at the end."""
    if not is_exported("METRICS"):
        yield
        return
    from libs.telemetry.otlp_metrics import MetricsExport

    export = MetricsExport(resource(service), ALL)
    sending = Repeated("export metrics", export.send, every_s=export.every_s)
    await sending.start()
    try:
        yield
    finally:
        await sending.stop()
        await export.stop()


async def _serve(service: Service, build: Build, stop: asyncio.Event, started: asyncio.Event) -> None:
    service.health.problem("dead letters", lambda: service.dead_letters.problem)
    service.health.background(service.producer.background)
    try:
        # Who is stopped while the broker is away closes it, too.
        await _start(service.producer)
        async with build(service):
            started.set()
            collect_garbage_seldom()
            use_huge_pages()
            service.health.serving()
            log.info("serving")
            await stop.wait()
            log.info("draining")
    finally:
        await service.producer.stop()
    log.info("stopped")


def _decoded(_of: Topic[R], raw: "Raw | None") -> Received[R] | None:
    try:
        return decode(raw) if raw else None  # type: ignore[return-value]
    except PoisonError:
        return None


async def _start(part: Part) -> None:
    while True:
        try:
            await part.start()
            return
        except KafkaError as error:
            log.warning("waiting for the broker", error=repr(error)[:200])
            await asyncio.sleep(RETRY_S)
