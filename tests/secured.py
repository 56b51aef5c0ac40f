"""Brokers from packages that ask who one is, configured by docker-compose.yml: TLS, passwords, and an authorizer."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deploy.local import setup
from deploy.local.child import Child
from deploy.local.compose import draw
from deploy.local.home import ROOT, plain_environment
from deploy.local.kafka.installation import install
from deploy.local.kafka.server import ONE_COMPILER, OPEN_WITHIN_S, new_cluster_id, prepare_node, run_command
from deploy.local.kafka.startup_cache import ensure_startup_cache
from deploy.local.ports import LOOPBACK, free_port, wait_until_open
from deploy.local.stack import KAFKA_STORE
from libs.bus.settings import BusSettings
from libs.runtime.secret_files import read_secret_files

COMPOSE = ROOT / "docker-compose.yml"
MOUNT = "/run/secrets"
_PREFIX = "SLUICE_KAFKA_"
_OF_THE_IMAGE = ("KAFKA_HEAP_OPTS",)
"""Variables that its scripts take for themselves."""
_SMALL = {
    "group.min.session.timeout.ms": "1000",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "1",
    "log.cleaner.dedupe.buffer.size": "8388608",
    "socket.request.max.bytes": "104857600",
    "replica.fetch.max.bytes": "36700160",
}


def container(name: str) -> dict[str, Any]:
    """A service of docker-compose.yml."""
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"][name]
    return found


def environment_of(name: str, folder: Path) -> dict[str, str]:
    """A container's variables, its secrets being in ``folder``."""
    given = {key: str(value) for key, value in container(name)["environment"].items()}
    return {key: value.replace(MOUNT, str(folder)) for key, value in given.items()}


def properties_of(environment: Mapping[str, str]) -> dict[str, str]:
    """The broker's configuration, as the image's ``KafkaDockerWrapper`` makes it of variables."""
    return {
        name.removeprefix("KAFKA_")
        .lower()
        .replace("___", "-")
        .replace("__", "\0")
        .replace("_", ".")
        .replace("\0", "_"): v
        for name, v in environment.items()
        if name.startswith("KAFKA_") and name not in _OF_THE_IMAGE
    }


@dataclass(slots=True)
class Node:
    """One broker."""

    number: int
    services_port: int
    admin_port: int
    controller_port: int
    child: Child | None = None


class SecuredCluster:
    """A cluster and everybody's credentials on it."""

    def __init__(self, folder: Path, brokers: int = 1) -> None:
        self.secrets = folder / "secrets"
        draw(self.secrets, broker_hosts=[LOOPBACK])
        self.nodes = [Node(number, free_port(), free_port(), free_port()) for number in range(1, brokers + 1)]
        self._folder = folder

    @property
    def admin(self) -> BusSettings:
        """The administrator's settings: a certificate."""
        return self._settings(self.variables("setup")).model_copy(update={"session_timeout_ms": 3_000})

    def variables(self, name: str) -> dict[str, str]:
        """All variables of a container, secrets by their files; it reaches the brokers where they are."""
        found = environment_of(name, self.secrets)
        ports = [node.admin_port if name == "setup" else node.services_port for node in self.nodes]
        return found | {
            f"{_PREFIX}BOOTSTRAP": ",".join(f"{LOOPBACK}:{port}" for port in ports),
            f"{_PREFIX}REPLICATION_FACTOR": str(len(self.nodes)),
        }

    def environment(self, service: str) -> dict[str, str]:
        """A service's credentials, or those of an outsider, who has no container."""
        like = self.variables("policy") | {
            f"{_PREFIX}SASL_USERNAME": f"sluice-{service}",
            f"{_PREFIX}SASL_PASSWORD_FILE": str(self.secrets / f"kafka-password-{service}"),
        }
        return {name: value for name, value in like.items() if name.startswith(_PREFIX) and "PARTITIONS" not in name}

    def settings(self, service: str) -> BusSettings:
        """The same, for clients of this process."""
        return self._settings(self.environment(service))

    @staticmethod
    def _settings(variables: dict[str, str]) -> BusSettings:
        read_secret_files(variables)
        known = {name.removeprefix(_PREFIX).lower(): v for name, v in variables.items() if name.startswith(_PREFIX)}
        return BusSettings(**{name: v for name, v in known.items() if name in BusSettings.model_fields})  # type: ignore[arg-type]

    async def start(self) -> None:
        """Starts the brokers; makes topics, users and access."""
        installation = install(KAFKA_STORE, print)
        await ensure_startup_cache(installation, print)
        cluster_id = new_cluster_id()
        for node in self.nodes:
            properties = prepare_node(installation, self._folder / f"{node.number}", self._text(node), cluster_id)
            command = run_command(installation, properties, ONE_COMPILER)
            log = self._folder / f"{node.number}.log"
            node.child = Child(f"broker-{node.number}", lambda command=command: command, plain_environment(), log)  # type: ignore[misc]
            await node.child.start()
        for node in self.nodes:
            await wait_until_open(node.services_port, within_s=OPEN_WITHIN_S, what="Apache Kafka")
        given = self.variables("setup")
        read_secret_files(given)
        await setup.kafka(self.admin, given)

    async def stop(self) -> None:
        """Stops the brokers."""
        for node in self.nodes:
            if node.child:
                await node.child.stop(within_s=3)

    def _text(self, node: Node) -> str:
        ports = {"SERVICES": node.services_port, "ADMIN": node.admin_port}
        advertised = ",".join(f"{name}://{LOOPBACK}:{port}" for name, port in ports.items())
        settings = properties_of(environment_of("kafka", self.secrets))
        settings |= _SMALL | {
            "node.id": str(node.number),
            "listeners": f"{advertised},CONTROLLER://{LOOPBACK}:{node.controller_port}",
            "advertised.listeners": advertised,
            "controller.quorum.voters": ",".join(
                f"{one.number}@{LOOPBACK}:{one.controller_port}" for one in self.nodes
            ),
            "log.dirs": str(self._folder / f"{node.number}" / "data"),
        }
        if len(self.nodes) > 1:
            copies = str(len(self.nodes))
            settings |= dict.fromkeys(
                ("offsets.topic.replication.factor", "transaction.state.log.replication.factor"), copies
            ) | dict.fromkeys(("min.insync.replicas", "transaction.state.log.min.isr"), "2")
            settings |= {"broker.session.timeout.ms": "4000", "broker.heartbeat.interval.ms": "500"}
        return "".join(f"{name}={value}\n" for name, value in settings.items())


@asynccontextmanager
async def secured_cluster(folder: Path, brokers: int = 1) -> AsyncIterator[SecuredCluster]:
    """A running cluster, with topics, users and access."""
    cluster = SecuredCluster(folder, brokers)
    try:
        await cluster.start()
        yield cluster
    finally:
        await cluster.stop()
