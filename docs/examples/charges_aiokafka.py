"""All charges since a time, with plain aiokafka: ``charges_aiokafka.py 2026-11-01T00:00:00+00:00``. Ends at the end."""

import asyncio
import os
import sys
from datetime import datetime

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from contracts import topics
from contracts.charges import ChargePosted
from contracts.decoding import decode

BOOTSTRAP = os.environ["SLUICE_KAFKA_BOOTSTRAP"]
TOPIC = topics.CHARGES


async def main(since: datetime) -> None:
    """Prints each charge once."""
    consumer = AIOKafkaConsumer(bootstrap_servers=BOOTSTRAP, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = await _partitions()
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        begins = await consumer.offsets_for_times(dict.fromkeys(partitions, int(since.timestamp() * 1000)))
        for partition in partitions:
            consumer.seek(partition, begins[partition].offset if begins.get(partition) else ends[partition])
        charges: dict[str, ChargePosted] = {}
        while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    charge = decode(TOPIC, record.value, record.headers)
                    # The same charge may be published again.
                    charges[charge.charge_id] = charge
        for charge in charges.values():
            print(charge.model_dump_json())
    finally:
        await consumer.stop()


async def _partitions() -> list[TopicPartition]:
    admin = AIOKafkaAdminClient(bootstrap_servers=BOOTSTRAP)
    await admin.start()
    try:
        (described,) = await admin.describe_topics([TOPIC.name])
    finally:
        await admin.close()
    return [TopicPartition(TOPIC.name, found["partition"]) for found in described["partitions"]]


asyncio.run(main(datetime.fromisoformat(sys.argv[1])))
