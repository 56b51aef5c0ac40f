"""Everything that is on the log comes once more: late, and out of order where a record does not replace another."""

import random
from collections import Counter

from contracts.topics import TOPICS
from libs.bus.reading import read_to_end
from libs.bus.records import Raw
from tests.integration.publishing import raw_producer
from tests.stacks import Gateway


async def all_again(gateway: Gateway, seed: int) -> Counter[str]:
    """Publishes all records of all topics again, each in its partition and as it was; returns how many of each topic.

    What is compacted and unsigned keeps its order: of a key the newest counts, and the log is what says which that is.
    """
    in_order: list[Raw] = []
    shuffled: list[Raw] = []
    for topic in TOPICS:
        found = [raw async for raw in read_to_end(gateway.stack.bus, topic)]
        (in_order if topic.compacted and topic.signed_by is None else shuffled).extend(found)
    random.Random(seed).shuffle(shuffled)
    async with raw_producer(gateway.stack.bus) as producer:
        for raw in (*shuffled, *in_order):
            await producer.send(raw.topic, raw.value, key=raw.key, headers=list(raw.headers), partition=raw.partition)
        await producer.flush()
    return Counter(raw.topic for raw in (*shuffled, *in_order))
