"""`kilo-auto/frontier`: one name, and the model that suits what one is about to do. As Kilo Code asks.

Run it with SLUICE_BASE_URL and SLUICE_API_KEY.
"""

import os

from openai import OpenAI

client = OpenAI(base_url=os.environ["SLUICE_BASE_URL"], api_key=os.environ["SLUICE_API_KEY"])
for mode in ("plan", "code"):
    answer = client.chat.completions.create(
        model="kilo-auto/frontier",
        messages=[{"role": "user", "content": "Hello"}],
        extra_headers={"x-kilocode-mode": mode, "X-KiloCode-TaskId": "task-1"},
    )
    print(mode, answer.model)
