"""Clients that keep asking, streamed and not, and note how each request ended."""

import asyncio
from dataclasses import dataclass, field
from types import TracebackType

import httpx

from tests.stacks import Gateway, chat

ANSWERED_WITHIN_S = 60.0
STATUSES = {200, 429, 500, 502, 503, 504}


@dataclass
class Load:
    """Runs from entering until leaving; leaving waits for the answers that are still out."""

    gateway: Gateway
    clients: int = 8
    url: str | None = None
    statuses: dict[int, int] = field(default_factory=dict)
    completed: set[str] = field(default_factory=set)
    broken: int = 0
    """Connections that the ingress did not live to answer, and streams that ended with an error."""

    async def __aenter__(self) -> "Load":
        self._stopping = False
        self._tasks = [asyncio.create_task(self._keep_asking(number)) for number in range(self.clients)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        done, late = await asyncio.wait(self._tasks, timeout=ANSWERED_WITHIN_S)
        for task in late:
            task.cancel()
        if kind is None:
            assert not late, f"{len(late)} clients had no answer within {ANSWERED_WITHIN_S} s"
            for task in done:
                task.result()

    async def more(self, count: int, *, within_s: float = 60.0) -> None:
        """Returns when ``count`` more requests were completed from now on."""
        wanted = len(self.completed) + count
        async with asyncio.timeout(within_s):
            while len(self.completed) < wanted:
                for task in self._tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.05)

    async def _keep_asking(self, number: int) -> None:
        url = f"{self.url or self.gateway.base_url}/chat/completions"
        headers = {"Authorization": f"Bearer {self.gateway.key}"}
        stream = number % 2 == 0
        while not self._stopping:
            body = chat("[[stub chunks=10 gap_ms=10]]", stream=stream)
            try:
                response = await self.gateway.http.post(url, json=body, headers=headers)
            except httpx.TransportError:
                self.broken += 1
                await asyncio.sleep(0.1)
                continue
            self.statuses[response.status_code] = self.statuses.get(response.status_code, 0) + 1
            assert response.status_code in STATUSES, response.text
            if response.status_code != 200:
                assert response.json()["error"]["message"]
                await asyncio.sleep(0.1)
            elif stream and not response.text.endswith("data: [DONE]\n\n"):
                assert '"error"' in response.text
                self.broken += 1
            else:
                self.completed.add(response.headers["x-request-id"])
