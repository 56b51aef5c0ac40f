"""What a request cost, and for whom it was: tags, a customer, `usage.cost` and `GET /generation`.

Run it with SLUICE_BASE_URL and SLUICE_API_KEY; `./sluice usage --by customer` sums up afterwards.
"""

import os

import httpx
from openai import OpenAI

base_url, key = os.environ["SLUICE_BASE_URL"], os.environ["SLUICE_API_KEY"]
client = OpenAI(base_url=base_url, api_key=key)
answer = client.chat.completions.create(
    model=os.environ.get("MODEL", "stub/echo"),
    messages=[{"role": "user", "content": "Hello"}],
    user="customer-7",
    metadata={"team": "search"},
    extra_body={"tags": ["nightly", "search"], "usage": {"include": True}},
)
assert answer.usage
print("cost", answer.usage.model_extra["cost"] if answer.usage.model_extra else None)
found = httpx.get(f"{base_url}/generation", params={"id": answer.id}, headers={"Authorization": f"Bearer {key}"})
print("total", found.raise_for_status().json()["data"]["total_cost"])
