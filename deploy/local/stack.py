"""The whole stack: what is started, in which order, with which part of the configuration."""

import asyncio
import base64
import contextlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx
from pydantic import ValidationError
from yaml import YAMLError

from contracts.services import SERVICES as SPECS
from deploy.local.child import Child
from deploy.local.environment import passed_on
from deploy.local.errors import StackError
from deploy.local.home import ROOT, Home, ServiceState, StackState, plain_environment
from deploy.local.kafka.installation import install
from deploy.local.kafka.server import local_broker
from deploy.local.kafka.startup_cache import ensure_startup_cache
from deploy.local.ports import LOOPBACK, check_free, free_port, wait_until_open
from deploy.local.postgres import SCHEMAS, EmbeddedPostgres
from deploy.local.stub import KEY_VARIABLE
from libs.bus.settings import BusSettings
from libs.bus.signing import Signer, trusted_variable
from libs.bus.topics import create_topics
from libs.config.catalog import Catalog
from libs.config.gateway import CONFIG_VARIABLE, load_config
from libs.pricing.book import NoPriceError, check_prices

SERVICES = ("console", "key-vault", "policy", "rate-limit", "router", "relay", "metering", "ingress")
OVERLAPPING = ("relay", "ingress")
"""Services that may have work for long after SIGTERM: the next process begins meanwhile. The others keep their names in
their groups, which nobody may have twice (ADR 14), and are back in less than a second."""
OPTIONAL = ("sinks",)
"""Started where the configuration has something for them to do."""
READY_WITHIN_S = 90.0
API_PATH = "/api/gateway"
STUB_CONFIG = Path(__file__).with_name("demo.yaml")
EMBEDDED = ("embedded", "apache")
"""Names of the Kafka that Sluice starts itself."""
KAFKA_STORE = ROOT / ".sluice" / "kafka"
SESSION_TIMEOUT_MS = 3_000
"""Of groups on our own broker: who dies is missed after so long. A busy machine holds a process up for a second."""

Report = Callable[[str], None]
_SPECS = {spec.name: spec for spec in SPECS}


class Access(Protocol):
    """Credentials on a cluster that asks who one is."""

    @property
    def admin(self) -> BusSettings:
        """An administrator's."""

    def environment(self, service: str) -> dict[str, str]:
        """A service's own, as ``SLUICE_KAFKA_*``."""


@dataclass(slots=True)
class StackOptions:
    """What a user may choose."""

    config: Path | None = None
    kafka: str = "embedded"
    """``embedded`` (or ``apache``), or ``HOST:PORT``."""
    port: int = 8080
    console_port: int | None = None
    environment: dict[str, str] = field(default_factory=dict)
    """For every service, over the configuration: ``SLUICE_TIMEOUTS__REQUEST_S`` and the like."""
    instances: dict[str, int] = field(default_factory=dict)
    """How many processes of a service; the default is one. Further ingresses listen on further ports."""
    otlp_endpoint: str | None = None
    partitions: int | None = None
    """Of each keyed topic; None: four."""
    access: "Access | None" = None
    """Of a cluster that asks who one is; None: it does not."""
    stub: bool = False
    """Start the stub provider, and let the configuration's provider ``stub`` be it."""


class Stack:
    """Broker, database and services of one folder, as children of this process."""

    def __init__(self, home: Home, options: StackOptions, report: Report) -> None:
        self._home = home
        self._options = options
        self._report = report
        self._health_ports: dict[str, int] = {}
        self._ingress_ports: dict[str, int] = {}
        self._stub_port = free_port()
        self._rolls = 0
        self.children: dict[str, Child] = {}
        self.bus = BusSettings()
        self.postgres = EmbeddedPostgres(home, free_port(), report)
        self.console_port = options.console_port or free_port()

    @property
    def base_url(self) -> str:
        """What clients are given."""
        return f"http://{LOOPBACK}:{self._options.port}{API_PATH}"

    @property
    def console_url(self) -> str:
        """Where the management API is."""
        return f"http://{LOOPBACK}:{self.console_port}"

    def ingress_url(self, number: int) -> str:
        """The base URL of the n-th ingress, from 1."""
        return f"http://{LOOPBACK}:{self._ingress_ports[_instance('ingress', number)]}{API_PATH}"

    @property
    def stub_url(self) -> str:
        """Where the stub provider is."""
        return f"http://{LOOPBACK}:{self._stub_port}"

    def operator_token(self) -> str:
        """For the management API."""
        return self._home.secret("operator-token")

    def signer(self, service: str) -> Signer:
        """Signs as a service does, for tests."""
        return Signer(base64.b64decode(self._home.record_key(service)))

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
            services = SERVICES + (OPTIONAL if load_config(self._options.config).sinks else ())
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
        module = f"services.{service.replace('-', '_')}"
        child = Child(
            name,
            lambda: [sys.executable, "-m", module],
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
        del self._health_ports[name]

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
        readers = [name for name in SERVICES if service in _SPECS[name].signers]
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
            while (name := _instance(service, number)) in self.children:
                await self.children[name].restart(self._environment(service, name))
                await self._wait_until_ready()
                number += 1
        self._rolls += not services

    async def health(self) -> dict[str, dict[str, Any]]:
        """The health page of each service; ``{"ready": False}`` where it does not answer."""
        async with httpx.AsyncClient(timeout=2) as client:

            async def ask(name: str, port: int) -> tuple[str, dict[str, Any]]:
                return name, await ask_health(client, port)

            return dict(await asyncio.gather(*(ask(name, port) for name, port in self._health_ports.items())))

    def state(self) -> StackState:
        """For other commands."""
        services: dict[str, ServiceState] = {}
        for name, child in self.children.items():
            with contextlib.suppress(StackError):
                services[name] = ServiceState(pid=child.pid, health_port=self._health_ports.get(name))
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
        command = [sys.executable, "-m", "deploy.local.stub", str(self._stub_port)]
        self.children["stub"] = Child(
            "stub", lambda: command, environment, self._home.logs / "stub.log", on_restart=self._report
        )
        await self.children["stub"].start()
        await wait_until_open(self._stub_port, within_s=20, what="the stub provider")

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
            return {"health": self._health_ports[name], "http": self._ingress_ports[name]}
        if service == "console":
            return {"http": self.console_port}
        return {"health": self._health_ports[name]} if service in OVERLAPPING else {}

    def _environment(self, service: str, name: str) -> dict[str, str]:
        if name not in self._health_ports:
            self._health_ports[name] = free_port()
        environment = plain_environment(
            SLUICE_KAFKA_BOOTSTRAP=self.bus.bootstrap,
            SLUICE_KAFKA_PARTITIONS=self.bus.partitions,
            SLUICE_KAFKA_SESSION_TIMEOUT_MS=self.bus.session_timeout_ms,
            SLUICE_KAFKA_INSTANCE=name,
            SLUICE_HEALTH_PORT=self._health_ports[name],
        )
        given = passed_on(service, os.environ, self._key_variables)
        environment = given | environment | self._signing(service)
        if self._options.config:
            environment[CONFIG_VARIABLE] = str(self._options.config.resolve())
        if self._options.otlp_endpoint:
            environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = self._options.otlp_endpoint
        if service in SCHEMAS:
            environment["SLUICE_DATABASE_URL"] = self.postgres.url(service)
        if service == "console":
            environment |= {
                "SLUICE_CONSOLE_PORT": str(self.console_port),
                "SLUICE_CONSOLE_GATEWAY_URL": self.base_url,
                "SLUICE_CONSOLE_OPERATOR_TOKEN": self.operator_token(),
                "SLUICE_CONSOLE_KEY_ENCRYPTION_KEYS": self._home.key_encryption_keys("console"),
            }
        if service == "ingress":
            if name not in self._ingress_ports:
                self._ingress_ports[name] = free_port() if self._ingress_ports else self._options.port
            environment["SLUICE_INGRESS_PORT"] = str(self._ingress_ports[name])
        if service == "key-vault":
            # Provider keys are for the vault alone.
            environment |= self._provider_keys()
            environment["SLUICE_VAULT_KEY_ENCRYPTION_KEYS"] = self._home.key_encryption_keys("key-vault")
            if self._options.stub:
                environment[KEY_VARIABLE] = self.stub_key()
        if self._options.stub:
            environment["SLUICE_PROVIDERS__STUB__BASE_URL"] = f"{self.stub_url}/v1"
        given = passed_on(service, self._options.environment, self._key_variables)
        own = self._options.access.environment(service) if self._options.access else {}
        return environment | given | own

    def _signing(self, service: str) -> dict[str, str]:
        """The service's private key, where it signs, and the public keys of those whom it reads."""
        spec = _SPECS[service]
        found = {trusted_variable(signer): self._home.trusted_keys(signer) for signer in spec.signers}
        if spec.signs:
            found["SLUICE_RECORD_KEY"] = self._home.record_key(service)
        return found

    @property
    def _key_variables(self) -> frozenset[str]:
        providers = load_config(self._options.config).providers.values()
        return frozenset(name for provider in providers for name, _ in provider.api_key_variables)

    def _provider_keys(self) -> dict[str, str]:
        known = os.environ | self._options.environment
        return {variable: known[variable] for variable in sorted(self._key_variables) if variable in known}

    async def _wait_until_ready(self) -> None:
        deadline = asyncio.get_running_loop().time() + READY_WITHIN_S
        restarts = {name: child.restarts for name, child in self.children.items()}
        waiting: set[str] = set()
        while True:
            health = await self.health()
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


async def ask_health(client: httpx.AsyncClient, port: int) -> dict[str, Any]:
    """The answer of a service's ``/readyz``."""
    try:
        answer: dict[str, Any] = (await client.get(f"http://{LOOPBACK}:{port}/readyz")).json()
    except (httpx.HTTPError, ValueError):
        return {"ready": False}
    return answer


def _instance(service: str, number: int) -> str:
    return service if number == 1 else f"{service}-{number}"
