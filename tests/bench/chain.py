"""The floor: a bare chain of four stages on the same broker, aiokafka and nothing else, without HTTP.

A request's way has as many hops: ingress, decider, router, relay, ingress. ``python -m tests.bench.chain BOOTSTRAP N``
is one stage: it reads ``bench.chain.N`` and writes ``bench.chain.N+1``. The client is a process as well, in which
nothing of Sluice changes what aiokafka does.
"""

import asyncio
import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError

from deploy.local.home import ROOT
from tests.bench.load import Result, Sample

STAGES = 4
VALUE = b"x" * 1_000
"""About what a record of ours has."""
WAIT_MS = 500


def topic(number: int) -> str:
    """That stage ``number`` reads; the client reads the last."""
    return f"bench.chain.{number}"


async def make_topics(bootstrap: str) -> None:
    """One partition each: the order of hops counts, not their spread."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        with contextlib.suppress(TopicAlreadyExistsError):
            await admin.create_topics([NewTopic(topic(number), 1, 1) for number in range(STAGES + 1)])
    finally:
        await admin.close()


def _consumer(bootstrap: str) -> Any:
    return AIOKafkaConsumer(
        bootstrap_servers=bootstrap, fetch_max_wait_ms=WAIT_MS, enable_auto_commit=False, auto_offset_reset="latest"
    )


async def stage(bootstrap: str, number: int) -> None:
    """Passes records on, for ever."""
    consumer, producer = _consumer(bootstrap), AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    await consumer.start()
    await producer.start()
    consumer.assign([TopicPartition(topic(number), 0)])
    following = topic(number + 1)
    while True:
        for records in (await consumer.getmany(timeout_ms=1_000)).values():
            for record in records:
                await producer.send(following, record.value, key=record.key)


async def drive(bootstrap: str, *, connections: int, seconds: float) -> Result:
    """Keeps so many records under way for a time. Raises RuntimeError where a record does not come through."""
    with tempfile.NamedTemporaryFile(suffix=".json") as told:
        command = ["client", str(connections), str(seconds), told.name]
        client = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.bench.chain", bootstrap, *command, cwd=ROOT
        )
        if await client.wait() != 0:
            raise RuntimeError("the bare chain's client failed; see above")
        took = json.loads(Path(told.name).read_bytes())
    return Result(took["seconds"], [Sample(each_s, each_s, 200) for each_s in took["each_s"]])


async def _client(bootstrap: str, *, connections: int, seconds: float) -> dict[str, Any]:
    consumer, producer = _consumer(bootstrap), AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    await consumer.start()
    await producer.start()
    last = TopicPartition(topic(STAGES), 0)
    consumer.assign([last])
    await consumer.seek_to_end(last)
    waiting: dict[bytes, asyncio.Future[None]] = {}
    each_s: list[float] = []
    loop = asyncio.get_running_loop()

    async def read() -> None:
        while True:
            for records in (await consumer.getmany(timeout_ms=1_000)).values():
                for record in records:
                    if found := waiting.pop(record.key, None):
                        found.set_result(None)

    async def keep_busy(number: int) -> None:
        count = 0
        while time.perf_counter() - started < seconds:
            key = f"{number}-{count}".encode()
            done = waiting[key] = loop.create_future()
            began = time.perf_counter()
            await producer.send(topic(0), VALUE, key=key)
            await asyncio.wait_for(done, 30)
            each_s.append(time.perf_counter() - began)
            count += 1

    reading = asyncio.create_task(read())
    started = time.perf_counter()
    try:
        await asyncio.gather(*(keep_busy(number) for number in range(connections)))
        took_s = time.perf_counter() - started
    finally:
        reading.cancel()
        await consumer.stop()
        await producer.stop()
    return {"seconds": took_s, "each_s": each_s}


if __name__ == "__main__":
    if sys.argv[2] == "client":
        made = uvloop.run(_client(sys.argv[1], connections=int(sys.argv[3]), seconds=float(sys.argv[4])))
        Path(sys.argv[5]).write_text(json.dumps(made))
    else:
        uvloop.run(stage(sys.argv[1], int(sys.argv[2])))
