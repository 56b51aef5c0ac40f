"""``python -m tests.integration.flood BOOTSTRAP RUN FIRST COUNT``: a producer in a process of its own."""

import asyncio
import sys

from contracts import topics
from libs.bus.producer import Producer, settle
from libs.bus.settings import BusSettings
from tests.unit.records import accepted

BATCH = 16


async def publish(
    producer: Producer, run: str, count: int, *, partition: int | None = None, first: int = 0, subjects: int = 7
) -> None:
    """Publishes ``count`` numbered requests and waits until the broker has them."""
    sent = []
    for number in range(first, first + count):
        record = accepted(number, subject=f"acct:{run}-{number % subjects}", model=f"{run}/{number}")
        sent.append(
            await producer.send(
                topics.REQUESTS,
                record,
                key=record.subject,
                event_id=str(number),
                subject=record.request_id,
                traceparent="",
                partition=partition,
            )
        )
    await settle(sent)


async def main(bootstrap: str, run: str, first: int, count: int) -> None:
    """Publishes to partition 0, a small batch at a time."""
    producer = Producer(BusSettings(bootstrap=bootstrap), "flood")
    await producer.start()
    for start in range(first, first + count, BATCH):
        await publish(producer, run, BATCH, partition=0, first=start)
    await producer.stop()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
