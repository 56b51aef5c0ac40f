"""A provider that fails for a moment: the gateway asks again, with another key where there are several.

Run it with SLUICE_BASE_URL and SLUICE_API_KEY.
"""

import os

from openai import OpenAI

client = OpenAI(base_url=os.environ["SLUICE_BASE_URL"], api_key=os.environ["SLUICE_API_KEY"], max_retries=0)
raw = client.chat.completions.with_raw_response.create(
    model=os.environ.get("MODEL", "stub/echo"),
    messages=[{"role": "user", "content": os.environ.get("PROMPT", "Hello")}],
    extra_headers={"x-sluice-retries": "2"},
)
print("answered by", raw.headers["x-sluice-provider"])
print("failed before", raw.headers.get("x-sluice-tried", "nobody"))
