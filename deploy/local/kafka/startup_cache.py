"""The ahead-of-time cache that halves Kafka's start: recorded once, in a run that does what the first minutes do.

JEP 514: a JVM that was started with ``-XX:AOTCacheOutput`` writes the cache when it ends; one that is given it by
``-XX:AOTCache`` loads classes from there. It holds for the same Java, jars, order of the class path and GC.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from deploy.local.child import Child
from deploy.local.errors import StackError
from deploy.local.home import plain_environment
from deploy.local.kafka.installation import Installation
from deploy.local.kafka.server import OPEN_WITHIN_S, prepare, run_command
from deploy.local.ports import LOOPBACK, free_port, wait_until_open

WRITTEN_WITHIN_S = 180
RECORDS = 200


async def ensure_startup_cache(installation: Installation, report: Callable[[str], None]) -> None:
    """Records the cache where there is none. Without one everything works, slower: a failure is only reported."""
    if installation.cache.exists():
        return
    report("preparing fast starts of Apache Kafka (once)")
    with tempfile.TemporaryDirectory(prefix="sluice-kafka-") as folder:
        recorded = Path(folder) / "kafka.aot"
        try:
            await _record(installation, Path(folder), recorded)
            # In the installation's folder first: a rename across file systems is none.
            staged = installation.cache.with_suffix(".partial")
            await asyncio.to_thread(lambda: staged.write_bytes(recorded.read_bytes()))
            staged.rename(installation.cache)
        except (StackError, KafkaError, OSError, TimeoutError) as error:
            report(f"  not possible here ({error}); Kafka will start without it")


async def _record(installation: Installation, folder: Path, cache: Path) -> None:
    port = free_port()
    properties = prepare(installation, folder / "kafka", port)
    command = run_command(installation, properties, (f"-XX:AOTCacheOutput={cache}",))
    broker = Child("broker", lambda: command, plain_environment(), folder / "broker.log")
    await broker.start()
    try:
        await wait_until_open(port, within_s=OPEN_WITHIN_S, what="Apache Kafka")
        async with asyncio.timeout(OPEN_WITHIN_S):
            await _exercise(f"{LOOPBACK}:{port}")
    finally:
        await broker.stop(within_s=WRITTEN_WITHIN_S)


async def _exercise(bootstrap: str) -> None:
    """A topic, records, a group that commits: the classes of these paths are recorded."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic("training", 2, 1, topic_configs={"cleanup.policy": "compact"})])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True)
    consumer = AIOKafkaConsumer(
        "training",
        bootstrap_servers=bootstrap,
        group_id="training",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await producer.start()
    await consumer.start()
    try:
        for number in range(RECORDS):
            await producer.send_and_wait("training", b"x" * 1000, key=str(number).encode())
        seen = 0
        while seen < RECORDS:
            seen += sum(map(len, (await consumer.getmany(timeout_ms=500)).values()))
        await consumer.commit()
    finally:
        with contextlib.suppress(Exception):
            await consumer.stop()
        await producer.stop()
