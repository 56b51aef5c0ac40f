"""Clients that keep asking, streamed and not, and note how each request ended; and some that leave in the middle."""

import asyncio
import contextlib
import itertools
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType

import httpx

from tests.stacks import Gateway, chat

ANSWERED_WITHIN_S = 60.0
STATUSES = {200, 429, 500, 502, 503, 504}
LEAVE_AFTER_S = (0.02, 0.05, 0.1, 0.2, 0.4)
"""Before the route, before the first byte, within the stream, at its end: each where the machine's pace puts it."""


@dataclass
class Load:
    """Runs from entering until leaving; leaving waits for the answers that are still out."""

    gateway: Gateway
    clients: int = 8
    leaving: int = 2
    """Clients that never wait for the end of an answer; only the books know how it went."""
    url: str | None = None
    answered_within_s: float = ANSWERED_WITHIN_S
    """After the last request was sent."""
    statuses: dict[int, int] = field(default_factory=dict)
    completed: set[str] = field(default_factory=set)
    refusals: Counter[str] = field(default_factory=Counter)
    """Their messages."""
    broken: int = 0
    """Connections that the ingress did not live to answer, and streams that ended with an error."""

    @property
    def refused(self) -> int:
        """How many answers were errors."""
        return self.refusals.total()

    async def __aenter__(self) -> "Load":
        self._stopping = False
        asking = [self._keep_asking(number) for number in range(self.clients)]
        leaving = [self._keep_leaving(number) for number in range(self.leaving)]
        self._tasks = [asyncio.create_task(client) for client in (*asking, *leaving)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        done, late = await asyncio.wait(self._tasks, timeout=self.answered_within_s)
        for task in late:
            task.cancel()
        if kind is None:
            assert not late, f"{len(late)} clients had no answer within {self.answered_within_s} s"
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
        stream = number % 2 == 0
        while not self._stopping:
            try:
                response = await self._ask(stream)
            except httpx.TransportError:
                self.broken += 1
                await asyncio.sleep(0.1)
                continue
            self.statuses[response.status_code] = self.statuses.get(response.status_code, 0) + 1
            assert response.status_code in STATUSES, response.text
            if response.status_code != 200:
                self.refusals[response.json()["error"]["message"]] += 1
                await asyncio.sleep(0.1)
            elif stream and not response.text.endswith("data: [DONE]\n\n"):
                assert '"error"' in response.text
                self.broken += 1
            else:
                self.completed.add(response.headers["x-request-id"])

    async def _keep_leaving(self, number: int) -> None:
        for leave_after_s in itertools.cycle(LEAVE_AFTER_S):
            if self._stopping:
                return
            with contextlib.suppress(TimeoutError, httpx.TransportError):
                async with asyncio.timeout(leave_after_s):
                    await self._ask(number % 2 == 0)
            await asyncio.sleep(0.05)

    async def _ask(self, stream: bool) -> httpx.Response:
        return await self.gateway.http.post(
            f"{self.url or self.gateway.base_url}/chat/completions",
            json=chat("[[stub chunks=10 gap_ms=10]]", stream=stream),
            headers={"Authorization": f"Bearer {self.gateway.key}"},
        )
