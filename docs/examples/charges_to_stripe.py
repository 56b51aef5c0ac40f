"""Charges to Stripe's billing meter ``sluice_usage``, in microdollars: ``charges_to_stripe.py customers.json``.

The file maps owners (``acct_...`` and ``org_...`` IDs) to Stripe customers. Stripe drops meter events whose identifier
it has seen within a day, and offsets are committed after Stripe has taken them: none is lost, none counts twice.
Source: Stripe API reference, "Meter Events".
"""

import asyncio
import json
import os
import sys
from pathlib import Path

import httpx
from aiokafka import AIOKafkaConsumer

from contracts import topics
from contracts.decoding import decode

URL = os.environ.get("STRIPE_API_URL", "https://api.stripe.com") + "/v1/billing/meter_events"


async def main(customers: dict[str, str]) -> None:
    """Runs until it is stopped."""
    consumer = AIOKafkaConsumer(
        topics.CHARGES.name,
        bootstrap_servers=os.environ["SLUICE_KAFKA_BOOTSTRAP"],
        group_id="stripe-meter",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    async with httpx.AsyncClient(auth=(os.environ["STRIPE_API_KEY"], ""), timeout=30) as http:
        async for record in consumer:
            charge = decode(topics.CHARGES, record.value, record.headers)
            customer = customers.get(charge.organization_id or charge.account_id or "")
            if customer and charge.cost_microdollars:
                event = {
                    "event_name": "sluice_usage",
                    "identifier": charge.charge_id,
                    "timestamp": charge.accepted_at_ms // 1000,
                    "payload[stripe_customer_id]": customer,
                    "payload[value]": charge.cost_microdollars,
                }
                (await http.post(URL, data=event)).raise_for_status()
            await consumer.commit()


asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
