"""Auto top-up: charges the saved card of an owner whose balance is low. ``top_up_stripe.py customers.json``.

The file maps owners (``acct_...`` and ``org_...`` IDs) to Stripe customers with a default payment method. Credit is
added when Stripe reports the payment to the console's webhook, and not before. An event that comes twice is the same
payment: Stripe keeps an Idempotency-Key for a day. Source: Stripe API reference, "Create a PaymentIntent".
"""

import asyncio
import json
import os
import sys
from pathlib import Path

import httpx
from aiokafka import AIOKafkaConsumer

from contracts import topics
from contracts.credit import TopUpDue
from contracts.decoding import decode

URL = os.environ.get("STRIPE_API_URL", "https://api.stripe.com") + "/v1/payment_intents"
MICRODOLLARS_A_CENT = 10_000


async def main(customers: dict[str, str]) -> None:
    """Runs until it is stopped."""
    consumer = AIOKafkaConsumer(
        topics.CREDIT.name,
        bootstrap_servers=os.environ["SLUICE_KAFKA_BOOTSTRAP"],
        group_id="billing",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    async with httpx.AsyncClient(auth=(os.environ["STRIPE_API_KEY"], ""), timeout=30) as http:
        async for record in consumer:
            due = decode(topics.CREDIT, record.value, record.headers)
            owner = due.owner.partition(":")[2]
            if isinstance(due, TopUpDue) and owner in customers:
                payment = {
                    "amount": -(-due.top_up_microdollars // MICRODOLLARS_A_CENT),
                    "currency": "usd",
                    "customer": customers[owner],
                    "confirm": "true",
                    "off_session": "true",
                    "metadata[sluice_owner]": owner,
                }
                answer = await http.post(URL, data=payment, headers={"Idempotency-Key": due.event_id})
                if answer.status_code != 402:
                    # A declined card is for the owner to mend; another failure is tried again.
                    answer.raise_for_status()
            await consumer.commit()


asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
