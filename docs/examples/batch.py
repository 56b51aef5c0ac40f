"""Two requests in one file, answered when the gateway has time; the answers by their names.

Run it with SLUICE_BASE_URL and SLUICE_API_KEY.
"""

import json
import os
import time

from openai import OpenAI

client = OpenAI(base_url=os.environ["SLUICE_BASE_URL"], api_key=os.environ["SLUICE_API_KEY"])
lines = [
    {
        "custom_id": word,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": os.environ.get("MODEL", "stub/echo"), "messages": [{"role": "user", "content": word}]},
    }
    for word in ("sluice", "lock")
]
content = "\n".join(map(json.dumps, lines)).encode()
file = client.files.create(file=("words.jsonl", content), purpose="batch")
batch = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
while batch.status not in ("completed", "failed", "expired", "cancelled"):
    time.sleep(1)
    batch = client.batches.retrieve(batch.id)
assert batch.output_file_id, batch.errors
for line in client.files.content(batch.output_file_id).iter_lines():
    answer = json.loads(line)
    print(answer["custom_id"], answer["response"]["body"]["choices"][0]["message"]["content"])
