"""Apache Kafka in KRaft mode without Docker: jars from Maven Central, one node, data in the stack's folder."""

import hashlib
import shutil
import signal
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

from libs.bus.settings import BusSettings
from libs.devstack.child import Child
from libs.devstack.errors import StackError
from libs.devstack.home import ROOT, Home, plain_environment
from libs.devstack.ports import LOOPBACK, free_port, wait_until_open
from libs.devstack.topics import set_up_topics

POM = ROOT / "deploy/kafka/pom.xml"
LOG4J = ROOT / "deploy/kafka/log4j2.yaml"


def server_properties(data: Path, port: int, controller_port: int, partitions: int) -> str:
    """The configuration of a single node for development and tests."""
    return f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{LOOPBACK}:{controller_port}
listeners=PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}
advertised.listeners=PLAINTEXT://{LOOPBACK}:{port}
controller.listener.names=CONTROLLER
log.dirs={data}
num.partitions={partitions}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
message.max.bytes=34603008
replica.fetch.max.bytes=34603008
socket.request.max.bytes=104857600
"""


def apache_broker(home: Home, settings: BusSettings, port: int, say: Callable[[str], None]) -> Child:
    """A Kafka server on a loopback port; resolves its jars on the first call.

    Raises:
        StackError: Java or Maven is missing, or the jars cannot be had.
    """
    jars = _jars(say)
    folder = home.path / "kafka"
    folder.mkdir(parents=True, exist_ok=True)
    properties = folder / "server.properties"
    data = folder / "data"
    properties.write_text(server_properties(data, port, free_port(), settings.partitions))
    classpath = f"{jars}/*"
    environment = plain_environment()
    if not (data / "meta.properties").exists():
        cluster_id = uuid.uuid4().hex[:22]
        _run(
            ["java", "-cp", classpath, "kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(properties)],
            "Apache Kafka's storage could not be formatted",
            environment,
        )

    def command() -> list[str]:
        options = ["-Xmx768m", "-XX:+UseG1GC", f"-Dlog4j2.configurationFile={LOG4J}"]
        return ["java", *options, "-cp", classpath, "kafka.Kafka", str(properties)]

    async def started() -> None:
        await wait_until_open(port, within_s=60, what="Apache Kafka")
        await set_up_topics(settings, within_s=60, broker="Apache Kafka")

    return Child(
        "broker",
        command,
        environment,
        home.logs / "broker.log",
        on_started=started,
        stop_signal=signal.SIGTERM,
        on_restart=say,
    )


def _jars(say: Callable[[str], None]) -> Path:
    for tool, package in (("java", "a Java 17 runtime"), ("mvn", "Maven")):
        if shutil.which(tool) is None:
            raise StackError(f"--kafka apache needs {package}: `{tool}` was not found")
    digest = hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
    folder = ROOT / ".sluice" / "kafka-jars" / digest
    if not folder.exists():
        say("fetching Apache Kafka's jars (once)")
        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        command = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={partial}"]
        _run(command, "Apache Kafka's jars could not be fetched; is a Maven repository reachable?", None)
        partial.rename(folder)
    return folder


def _run(command: list[str], failure: str, environment: dict[str, str] | None) -> None:
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)  # noqa: S603
    if done.returncode != 0:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-5:])
        raise StackError(f"{failure}\n{last}")
