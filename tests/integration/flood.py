"""``python -m tests.integration.flood BOOTSTRAP RUN FIRST COUNT``: a producer in a process of its own."""

import asyncio
import sys

from contracts import topics
from libs.bus.producer import Producer, settle
from libs.bus.settings import BusSettings
from tests.unit.records import accepted

BATCH = 16


async def main(bootstrap: str, run: str, first: int, count: int) -> None:
    """Publishes numbered records to partition 0, a small batch at a time."""
    producer = Producer(BusSettings(bootstrap=bootstrap, profile="embedded"), "flood")
    await producer.start()
    for start in range(first, first + count, BATCH):
        sent = []
        for number in range(start, start + BATCH):
            record = accepted(number, subject=f"acct:{run}", model=f"{run}/{number}")
            sent.append(
                await producer.send(
                    topics.REQUESTS,
                    record,
                    key=record.subject,
                    event_id=str(number),
                    subject=record.request_id,
                    traceparent="",
                    partition=0,
                )
            )
        await settle(sent)
    await producer.stop()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
