"""The whole stack: what is started, in which order, with which part of the configuration."""

import asyncio
import base64
import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from pydantic import ValidationError
from yaml import YAMLError

from contracts.services import SERVICES as SPECS
from deploy.local.addresses import Addresses
from deploy.local.child import Child
from deploy.local.environment import Environments
from deploy.local.errors import StackError
from deploy.local.home import ROOT, Home, ServiceState, StackState, plain_environment
from deploy.local.kafka.installation import install
from deploy.local.kafka.server import local_broker
from deploy.local.kafka.startup_cache import ensure_startup_cache
from deploy.local.options import EMBEDDED, StackOptions
from deploy.local.ports import LOOPBACK, check_free, free_port, wait_until_open
from deploy.local.postgres import EmbeddedPostgres
from deploy.local.stub import KEY_VARIABLE
from deploy.local.trees import Tree
from libs.bus.settings import BusSettings
from libs.bus.signing import Signer
from libs.bus.topics import create_topics
from libs.config.catalog import Catalog
from libs.config.gateway import load_config
from libs.pricing.book import NoPriceError, check_prices

SERVICES = ("console", "key-vault", "policy", "rate-limit", "router", "relay", "metering", "ingress")
OVERLAPPING = ("relay", "ingress")
"""Services that may have work for long after SIGTERM: the next process begins meanwhile. The others keep their names in
their groups, which nobody may have twice (ADR 14), and are back in less than a second."""
OPTIONAL = ("sinks",)
"""Started where the configuration has something for them to do."""
READY_WITHIN_S = 180.0
KAFKA_STORE = ROOT / ".sluice" / "kafka"
SESSION_TIMEOUT_MS = 3_000
"""Of groups on our own broker: who dies is missed after so long. A busy machine holds a process up for a second."""

Report = Callable[[str], None]
_SIGNERS = {spec.name: spec.signers for spec in SPECS}


class Stack:
    """Broker, database and services of one folder, as children of this process."""

    def __init__(self, home: Home, options: StackOptions, report: Report) -> None:
        self._home = home
        self._options = options
        self._report = report
        self._addresses = Addresses(options)
        self._trees: dict[str, Tree] = {}
        self._rolls = 0
        self.children: dict[str, Child] = {}
        self.bus = BusSettings()
        self.postgres = EmbeddedPostgres(home, free_port(), report)
        self._environments = Environments(home, options, self._addresses, self.postgres)

    @property
    def options(self) -> StackOptions:
        """What was chosen; the environment counts for what is started from now on."""
        return self._options

    @property
    def base_url(self) -> str:
        """What clients are given."""
        return self._addresses.base_url

    @property
    def console_url(self) -> str:
        """Where the management API is."""
        return self._addresses.console_url

    def ingress_url(self, number: int) -> str:
        """The base URL of the n-th ingress, from 1."""
        return self._addresses.ingress_url(_instance("ingress", number))

    @property
    def stub_url(self) -> str:
        """Where the stub provider is."""
        return self._addresses.stub_url

    def operator_token(self) -> str:
        """For the management API."""
        return self._home.secret("operator-token")

    def signer(self, service: str) -> Signer:
        """Signs as a service does, for tests."""
        return Signer(base64.b64decode(self._home.record_key(service)))

    @property
    def _alerts(self) -> bool:
        """There are sinks, or owners who are notified of alerts by mail."""
        known = os.environ | self._options.environment
        return bool(known.get("SLUICE_CONSOLE_MAIL_HOST") or load_config(self._options.config).sinks)

    @property
    def logs(self) -> Path:
        """The folder of the logs."""
        return self._home.logs

    @property
    def secrets_file(self) -> Path:
        """All secrets of the folder by name."""
        return self._home.path / "secrets.json"

    def stub_key(self) -> str:
        """The only key that the stub provider accepts."""
        return self._home.secret("stub-key")

    async def start(self) -> None:
        """Starts everything and returns when all of it is ready.

        Raises:
            StackError: something is in the way; what was started is stopped again.
        """
        self._check()
        try:
            await self._start_foundations()
            services = SERVICES + (OPTIONAL if self._alerts else ())
            self._report(f"services: {', '.join(services)}")
            for service in services:
                for number in range(1, self._options.instances.get(service, 1) + 1):
                    await self.start_service(service, number)
            await self._wait_until_ready()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stops the services, the door first, then database and broker."""
        self._home.forget()
        names = [name for name in self.children if name not in ("postgres", "broker", "stub")]
        doors = [name for name in names if name.startswith("ingress")]
        await asyncio.gather(*(self.children[name].stop() for name in doors))
        await asyncio.gather(*(self.children[name].stop() for name in names if name not in doors))
        for name in ("postgres", "broker", "stub"):
            if name in self.children:
                await self.children[name].stop(within_s=15)
        self.children.clear()

    async def start_service(self, service: str, number: int = 1) -> Child:
        """Starts one more process of a service."""
        name = _instance(service, number)
        child = Child(
            name,
            lambda: self._tree(name).command(service),
            self._environment(service, name),
            self._home.logs / f"{name}.log",
            on_restart=self._report,
            debugged=lambda: self._home.debugged(name),
            listens=self._listens(service, name),
            overlaps=service in OVERLAPPING,
        )
        self.children[name] = child
        await child.start()
        return child

    async def remove_service(self, service: str, number: int) -> None:
        """Stops a further process of a service, and forgets it."""
        name = _instance(service, number)
        await self.children.pop(name).stop()
        self._addresses.forget(name)
        self._trees.pop(name, None)

    async def rotate_key_encryption_key(self, service: str) -> None:
        """Puts a new key-encryption key in front and restarts the service with it; the older ones stay."""
        self._home.new_key_encryption_key(service)
        await self.restart(service)

    async def forget_key_encryption_key(self, service: str, version: str) -> None:
        """Destroys a key-encryption key and restarts the service without it."""
        self._home.forget_secret(f"key-encryption-key-{service}-{version}")
        await self.restart(service)

    async def replace_record_key(self, service: str) -> None:
        """Replaces the key with which a service signs: nothing that it says is refused meanwhile.

        Its readers are started again twice: to trust the next key as well, and to trust the former one no more.
        """
        self._home.new_record_key(service)
        readers = [name for name in SERVICES if service in _SIGNERS[name]]
        for reader in readers:
            await self.restart(reader)
        self._home.sign_with_next(service)
        await self.restart(service)
        self._home.forget_secret(f"former-record-key-{service}")
        for reader in readers:
            await self.restart(reader)

    async def restart(self, *services: str) -> None:
        """A rolling restart of these services, or of all: one process after the other, each ready before the next."""
        for service in services or (*SERVICES, *OPTIONAL):
            number = 1
            while _instance(service, number) in self.children:
                await self._replace(service, number)
                number += 1
        self._rolls += not services

    async def change_version(self, tree: Tree, service: str, number: int = 1) -> None:
        """Replaces one process by one of another version, and returns when all are ready."""
        self._trees[_instance(service, number)] = tree
        await self._replace(service, number)

    async def _replace(self, service: str, number: int) -> None:
        name = _instance(service, number)
        await self.children[name].restart(self._environment(service, name))
        await self._wait_until_ready()

    async def health(self) -> dict[str, dict[str, Any]]:
        """The health page of each service; ``{"ready": False}`` where it does not answer."""
        async with httpx.AsyncClient(timeout=2) as client:

            async def ask(name: str, port: int) -> tuple[str, dict[str, Any]]:
                return name, await ask_health(client, port)

            return dict(await asyncio.gather(*(ask(name, port) for name, port in self._addresses.health.items())))

    def state(self) -> StackState:
        """For other commands."""
        services: dict[str, ServiceState] = {}
        for name, child in self.children.items():
            with contextlib.suppress(StackError):
                services[name] = ServiceState(pid=child.pid, health_port=self._addresses.health.get(name))
        return StackState(
            pid=os.getpid(),
            base_url=self.base_url,
            console_url=self.console_url,
            broker=self._options.kafka,
            kafka=self.bus.bootstrap,
            kafka_partitions=self.bus.partitions,
            postgres_port=self.postgres.port,
            database=f"{LOOPBACK}, PostgreSQL, embedded",
            services=services,
            rolls=self._rolls,
        )

    def _check(self) -> None:
        self._home.prepare()
        if self._home.running():
            raise StackError(f"a Sluice runs from {self._home.path} already; `./sluice down` stops it")
        self._home.forget()
        if self._options.config and not self._options.config.is_file():
            raise StackError(f"there is no configuration file {self._options.config}")
        try:
            check_prices(Catalog(load_config(self._options.config)))
        except NoPriceError as error:
            raise StackError(f"the configuration is not right: {error}") from None
        except ValidationError as error:
            wrong = error.errors(include_input=False, include_url=False)
            details = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in wrong)
            raise StackError(f"the configuration is not right: {details}") from None
        except YAMLError as error:
            raise StackError(f"the configuration is not YAML: {error}") from None
        if self._options.kafka not in EMBEDDED and ":" not in self._options.kafka:
            raise StackError(f"--kafka takes embedded or HOST:PORT, not {self._options.kafka!r}")
        check_free(self._options.port, "--port")

    async def _start_foundations(self) -> None:
        """Broker, database and stub at the same time."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._start_broker())
                group.create_task(self._start_postgres())
                if self._options.stub:
                    group.create_task(self._start_stub())
        except* (StackError, OSError) as failures:
            raise failures.exceptions[0] from None

    async def _start_postgres(self) -> None:
        self._report("database: PostgreSQL")
        self.children["postgres"] = await asyncio.to_thread(self.postgres.child)
        await self.children["postgres"].start()

    async def _start_stub(self) -> None:
        self._report("provider: the stub")
        environment = plain_environment() | {KEY_VARIABLE: self.stub_key()}
        command = [sys.executable, "-m", "deploy.local.stub", str(self._addresses.stub_port)]
        self.children["stub"] = Child(
            "stub", lambda: command, environment, self._home.logs / "stub.log", on_restart=self._report
        )
        await self.children["stub"].start()
        await wait_until_open(self._addresses.stub_port, within_s=20, what="the stub provider")

    async def _start_broker(self) -> None:
        kafka = self._options.kafka
        chosen: dict[str, Any] = {"partitions": self._options.partitions} if self._options.partitions else {}
        if kafka in EMBEDDED:
            installation = await asyncio.to_thread(install, KAFKA_STORE, self._report)
            await ensure_startup_cache(installation, self._report)
            port = free_port()
            self.bus = BusSettings(bootstrap=f"{LOOPBACK}:{port}", session_timeout_ms=SESSION_TIMEOUT_MS, **chosen)
            self._report("broker: Apache Kafka")
            self.children["broker"] = await asyncio.to_thread(
                local_broker, installation, self._home, self.bus, port, self._report
            )
            await self.children["broker"].start()
            return
        access = self._options.access
        self.bus = access.admin if access else BusSettings(bootstrap=kafka, **chosen)
        self._report(f"broker: {kafka}")
        try:
            async with asyncio.timeout(15):
                await create_topics(self.bus)
        except Exception as error:
            raise StackError(f"the broker at {kafka} could not be used: {error!r}"[:300]) from None

    def _listens(self, service: str, name: str) -> dict[str, int]:
        """Ports of which the supervisor keeps the sockets."""
        if service == "ingress":
            return {"health": self._addresses.health_port(name), "http": self._addresses.ingress_port(name)}
        if service == "console":
            return {"http": self._addresses.console_port}
        return {"health": self._addresses.health_port(name)} if service in OVERLAPPING else {}

    def _tree(self, name: str) -> Tree:
        return self._trees.get(name, self._options.tree)

    def _environment(self, service: str, name: str) -> dict[str, str]:
        return self._environments.of(service, name, self.bus, self._tree(name))

    async def _wait_until_ready(self) -> None:
        deadline = asyncio.get_running_loop().time() + READY_WITHIN_S
        restarts = {name: child.restarts for name, child in self.children.items()}
        health = await self.health()
        waiting = set(health)
        while True:
            now_waiting = {name for name, answer in health.items() if not answer.get("ready")}
            for name in sorted(waiting - now_waiting):
                self._report(f"ready: {name}")
            waiting = now_waiting
            if not waiting:
                return
            for name in waiting:
                child = self.children[name]
                if child.restarts - restarts[name] >= 2:
                    raise StackError(f"{name} does not start; the end of its log:\n{child.log_tail()}")
            if asyncio.get_running_loop().time() > deadline:
                name = sorted(waiting)[0]
                tail = self.children[name].log_tail(5)
                raise StackError(f"not ready after {READY_WITHIN_S:.0f} s: {', '.join(sorted(waiting))}\n{tail}")
            await asyncio.sleep(0.15)
            health = await self.health()


async def ask_health(client: httpx.AsyncClient, port: int) -> dict[str, Any]:
    """The answer of a service's ``/readyz``."""
    try:
        answer: dict[str, Any] = (await client.get(f"http://{LOOPBACK}:{port}/readyz")).json()
    except (httpx.HTTPError, ValueError):
        return {"ready": False}
    return answer


def _instance(service: str, number: int) -> str:
    return service if number == 1 else f"{service}-{number}"
