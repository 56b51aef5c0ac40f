"""Every charge as it is posted, with FastStream. At least once: dedupe by charge_id; yours belong in a table."""

import asyncio
import os

from faststream import FastStream
from faststream.kafka import KafkaBroker

from contracts import topics
from contracts.charges import ChargePosted

broker = KafkaBroker(os.environ["SLUICE_KAFKA_BOOTSTRAP"])
seen: set[str] = set()


@broker.subscriber(topics.CHARGES.name, group_id="example-faststream", auto_offset_reset="earliest")
async def bill(charge: ChargePosted) -> None:
    """Books one charge."""
    if charge.charge_id not in seen:
        seen.add(charge.charge_id)
        print(charge.charge_id, charge.account_id, charge.cost_microdollars, flush=True)


asyncio.run(FastStream(broker).run())
