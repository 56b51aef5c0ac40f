"""Several models in one request: the first that can answers, and says which it is and who could not.

Run it with SLUICE_BASE_URL and SLUICE_API_KEY.
"""

import os

from openai import OpenAI

client = OpenAI(base_url=os.environ["SLUICE_BASE_URL"], api_key=os.environ["SLUICE_API_KEY"])
first, *others = os.environ.get("MODELS", "stub/echo,stub/large").split(",")
raw = client.chat.completions.with_raw_response.create(
    model=first,
    messages=[{"role": "user", "content": "Hello"}],
    extra_body={"models": others, "route": "fallback"},
)
print(raw.parse().model, raw.headers.get("x-sluice-model"), raw.headers.get("x-sluice-tried"))
