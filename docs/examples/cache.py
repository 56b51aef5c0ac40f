"""The same question twice: the second answer comes from the cache, and costs nothing.

Run it with SLUICE_BASE_URL and SLUICE_API_KEY.
"""

import os

from openai import OpenAI

client = OpenAI(base_url=os.environ["SLUICE_BASE_URL"], api_key=os.environ["SLUICE_API_KEY"])
for _ in range(2):
    raw = client.chat.completions.with_raw_response.create(
        model=os.environ.get("MODEL", "stub/echo"),
        messages=[{"role": "user", "content": "What is a sluice?"}],
        extra_body={"cache": {"ttl": 600}, "usage": {"include": True}},
    )
    usage = raw.parse().usage
    cost = usage.model_extra["cost"] if usage and usage.model_extra else None
    print(raw.headers["x-sluice-cache"], cost)
