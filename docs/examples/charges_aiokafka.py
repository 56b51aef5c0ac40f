"""All charges since a time, with plain aiokafka: ``charges_aiokafka.py 2026-11-01T00:00:00+00:00``. Ends at the end."""

import asyncio
import json
import os
import sys
from datetime import datetime

from aiokafka import AIOKafkaConsumer, TopicPartition

TOPIC = "billing.charges.v1"


async def main(since: datetime) -> None:
    """Prints each charge once."""
    consumer = AIOKafkaConsumer(bootstrap_servers=os.environ["SLUICE_KAFKA_BOOTSTRAP"], enable_auto_commit=False)
    await consumer.start()
    try:
        places = [TopicPartition(TOPIC, number) for number in await _partitions(consumer)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        begins = await consumer.offsets_for_times({place: int(since.timestamp() * 1000) for place in places})
        for place in places:
            consumer.seek(place, begins[place].offset if begins.get(place) else ends[place])
        charges: dict[str, dict[str, object]] = {}
        while any([await consumer.position(place) < ends[place] for place in places]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                # The same event ID is the same charge, told again.
                charges |= {dict(record.headers)["ce_id"].decode(): json.loads(record.value) for record in records}
        for charge in charges.values():
            print(json.dumps(charge))
    finally:
        await consumer.stop()


async def _partitions(consumer: AIOKafkaConsumer) -> list[int]:
    await consumer._client.set_topics([TOPIC])
    return sorted(consumer.partitions_for_topic(TOPIC) or ())


asyncio.run(main(datetime.fromisoformat(sys.argv[1])))
