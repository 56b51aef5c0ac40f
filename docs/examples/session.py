"""A conversation stays with one provider, so that its prompt cache is hit.

Run it with SLUICE_BASE_URL and SLUICE_API_KEY; `./sluice usage --by provider` shows the share of cache hits afterwards.
"""

import os
import uuid

from openai import OpenAI

client = OpenAI(base_url=os.environ["SLUICE_BASE_URL"], api_key=os.environ["SLUICE_API_KEY"])
session = {"session_id": f"conversation-{uuid.uuid4()}"}
for question in ("What is a sluice?", "Who builds them?", "And a lock?"):
    raw = client.chat.completions.with_raw_response.create(
        model=os.environ.get("MODEL", "stub/echo"),
        messages=[{"role": "user", "content": f"{os.environ.get('PROMPT', '')}{question}"}],
        extra_body=session,
    )
    usage = raw.parse().usage
    details = usage.prompt_tokens_details if usage else None
    print(raw.headers["x-sluice-provider"], "cached", details.cached_tokens if details else 0)
