"""Brokers from packages that ask who one is: TLS, passwords, and an authorizer that refuses."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local.certificates import ADMIN, BROKER, Authority, one_line
from deploy.local.child import Child
from deploy.local.home import plain_environment
from deploy.local.kafka.installation import install
from deploy.local.kafka.server import OPEN_WITHIN_S, new_cluster_id, prepare_node, run_command
from deploy.local.kafka.startup_cache import ensure_startup_cache
from deploy.local.ports import LOOPBACK, free_port, wait_until_open
from deploy.local.stack import KAFKA_STORE
from deploy.local.topics import set_up_topics
from libs.bus.access import EVERYBODY, entries, user_of
from libs.bus.administration import apply
from libs.bus.settings import BusSettings

_SPECS = {spec.name: spec for spec in EVERYBODY}
_SECURED = {
    "process.roles": "broker,controller",
    "listener.security.protocol.map": "SERVICES:SASL_SSL,ADMIN:SSL,CONTROLLER:SSL",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "ADMIN",
    "sasl.enabled.mechanisms": "SCRAM-SHA-512",
    "listener.name.services.scram-sha-512.sasl.jaas.config": (
        "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    ),
    "listener.name.admin.ssl.client.auth": "required",
    "listener.name.controller.ssl.client.auth": "required",
    "ssl.keystore.type": "PEM",
    "ssl.truststore.type": "PEM",
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "false",
    "super.users": f"User:CN={BROKER};User:CN={ADMIN}",
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "message.max.bytes": "34603008",
}
_SMALL = {
    "group.min.session.timeout.ms": "1000",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "1",
    "log.cleaner.dedupe.buffer.size": "8388608",
    "socket.request.max.bytes": "104857600",
    "replica.fetch.max.bytes": "36700160",
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
        authority = Authority()
        self._ca = authority.certificate
        self._broker = authority.issue(BROKER, [LOOPBACK])
        self._admin = authority.issue(ADMIN)
        self._passwords = {spec.name: secrets.token_hex(24) for spec in EVERYBODY}
        self.nodes = [Node(number, free_port(), free_port(), free_port()) for number in range(1, brokers + 1)]
        self._folder = folder

    @property
    def admin(self) -> BusSettings:
        """The administrator's settings: a certificate."""
        return BusSettings(
            bootstrap=",".join(f"{LOOPBACK}:{node.admin_port}" for node in self.nodes),
            security_protocol="SSL",
            ssl_ca=self._ca,
            ssl_certificate=self._admin.certificate,
            ssl_key=self._admin.key,
            replication_factor=len(self.nodes),
            session_timeout_ms=3_000,
        )

    def environment(self, service: str) -> dict[str, str]:
        """A service's, or an outsider's: user and password."""
        return {
            "SLUICE_KAFKA_BOOTSTRAP": ",".join(f"{LOOPBACK}:{node.services_port}" for node in self.nodes),
            "SLUICE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "SLUICE_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "SLUICE_KAFKA_SASL_USERNAME": user_of(_SPECS[service]),
            "SLUICE_KAFKA_SASL_PASSWORD": self._passwords[service],
            "SLUICE_KAFKA_SSL_CA": self._ca,
        }

    def settings(self, service: str) -> BusSettings:
        """The same, for clients of this process."""
        prefix = "SLUICE_KAFKA_"
        return BusSettings(**{name.removeprefix(prefix).lower(): v for name, v in self.environment(service).items()})  # type: ignore[arg-type]

    async def start(self) -> None:
        """Starts the brokers; makes topics, users and access."""
        installation = install(KAFKA_STORE, print)
        await ensure_startup_cache(installation, print)
        cluster_id = new_cluster_id()
        for node in self.nodes:
            properties = prepare_node(installation, self._folder / f"{node.number}", self._text(node), cluster_id)
            flags = (f"-XX:AOTCache={installation.cache}",) if installation.cache.exists() else ()
            command = run_command(installation, properties, flags)
            log = self._folder / f"{node.number}.log"
            node.child = Child(f"broker-{node.number}", lambda command=command: command, plain_environment(), log)  # type: ignore[misc]
            await node.child.start()
        for node in self.nodes:
            await wait_until_open(node.services_port, within_s=OPEN_WITHIN_S, what="Apache Kafka")
        await set_up_topics(self.admin, within_s=OPEN_WITHIN_S, broker="Apache Kafka")
        passwords = {user_of(spec): self._passwords[spec.name] for spec in EVERYBODY}
        await apply(self.admin, entries(), passwords)

    async def stop(self) -> None:
        """Stops the brokers."""
        for node in self.nodes:
            if node.child:
                await node.child.stop(within_s=15)

    def _text(self, node: Node) -> str:
        settings = _SECURED | {
            "ssl.keystore.certificate.chain": one_line(self._broker.certificate),
            "ssl.keystore.key": one_line(self._broker.key),
            "ssl.truststore.certificates": one_line(self._ca),
        }
        ports = {"SERVICES": node.services_port, "ADMIN": node.admin_port}
        advertised = ",".join(f"{name}://{LOOPBACK}:{port}" for name, port in ports.items())
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
