"""One Kafka node (KRaft, broker and controller in one process), its log in the stack's folder."""

import base64
import secrets
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from deploy.local.child import Child
from deploy.local.errors import StackError
from deploy.local.home import Home, plain_environment, write_private
from deploy.local.kafka.installation import Installation
from deploy.local.ports import LOOPBACK, free_port, wait_until_open
from deploy.local.topics import set_up_topics
from libs.bus.settings import MAX_REQUEST_BYTES, BusSettings

OPEN_WITHIN_S = 120
LEAST_SESSION_MS = 1_000
ONE_COMPILER = ("-XX:TieredStopAtLevel=1",)
"""For what ends after seconds or minutes: the second compiler's work does not come back by then."""
node_flags: tuple[str, ...] = ()
"""More flags of our own broker. Tests replace them by `ONE_COMPILER`."""


def server_properties(data: Path, port: int, controller_port: int) -> str:
    """The configuration of a single node: few threads, small buffers, no wait before a group's first assignment."""
    return f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{LOOPBACK}:{controller_port}
listeners=PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}
advertised.listeners=PLAINTEXT://{LOOPBACK}:{port}
controller.listener.names=CONTROLLER
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms={LEAST_SESSION_MS}
message.max.bytes={MAX_REQUEST_BYTES + 1024 * 1024}
replica.fetch.max.bytes={MAX_REQUEST_BYTES + 1024 * 1024}
socket.request.max.bytes={3 * MAX_REQUEST_BYTES}
log.index.size.max.bytes=1048576
log.cleaner.dedupe.buffer.size=8388608
log.cleaner.io.buffer.size=131072
num.network.threads=2
num.io.threads=2
num.recovery.threads.per.data.dir=2
background.threads=2
"""


def prepare(installation: Installation, folder: Path, port: int) -> Path:
    """Writes the node's configuration and formats its storage, where that was not done before.

    Args:
        folder: holds the configuration and the log; the log stays between runs.

    Raises:
        StackError: the storage cannot be formatted.
    """
    data = folder / "data"
    return prepare_node(installation, folder, server_properties(data, port, free_port()), new_cluster_id())


def new_cluster_id() -> str:
    """As Kafka draws it: a UUID in URL-safe base64, that does not begin with a dash."""
    return base64.urlsafe_b64encode(b"\0" + secrets.token_bytes(15)).decode().rstrip("=")


def prepare_node(installation: Installation, folder: Path, text: str, cluster_id: str) -> Path:
    """The same for a node of any configuration.

    Args:
        folder: holds the configuration; the log is in its folder ``data``.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    properties = folder / "server.properties"
    data = folder / "data"
    write_private(properties, text)
    if not (data / "meta.properties").exists():
        arguments = ["format", "-t", cluster_id, "-c", str(properties)]
        command = installation.command("kafka.tools.StorageTool", *arguments, flags=ONE_COMPILER)
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, env=plain_environment(), check=False
        )
        if done.returncode != 0:
            last = "\n".join((done.stdout + done.stderr).splitlines()[-5:])
            raise StackError(f"Kafka's storage in {data} could not be formatted\n{last}")
    return properties


def run_command(installation: Installation, properties: Path, flags: Sequence[str] = ()) -> list[str]:
    """The command line of the node."""
    return installation.command("kafka.Kafka", str(properties), flags=tuple(flags))


def local_broker(
    installation: Installation, home: Home, settings: BusSettings, port: int, report: Callable[[str], None]
) -> Child:
    """The node as a child of the stack; each start makes the topics that are missing.

    Raises:
        StackError: see `prepare`.
    """
    properties = prepare(installation, home.path / "kafka", port)

    async def started() -> None:
        await wait_until_open(port, within_s=OPEN_WITHIN_S, what="Apache Kafka")
        await set_up_topics(settings, within_s=OPEN_WITHIN_S, broker="Apache Kafka")

    log = home.logs / "broker.log"
    command = partial(run_command, installation, properties, node_flags)
    return Child("broker", command, plain_environment(), log, on_started=started, on_restart=report)
