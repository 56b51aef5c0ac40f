"""Clients that send a request with an ``Idempotency-Key`` until they have its whole answer, from where they were."""

import asyncio
import re
from dataclasses import dataclass, field

import httpx

from tests.stacks import Gateway, chat

AGAIN_S = 0.05
WHOLE_WITHIN_S = 120.0


@dataclass
class Repeating:
    """One client's stream, cut however often."""

    gateway: Gateway
    key: str
    content: bytes = b""
    """What it has of the answer: whole events."""
    sent: int = 0
    request_ids: set[str] = field(default_factory=set)

    @property
    def whole(self) -> bool:
        """It has the end of the answer."""
        return b"data: [DONE]\n\n" in self.content

    async def ask(self) -> "Repeating":
        """Returns when the answer is whole."""
        async with asyncio.timeout(WHOLE_WITHIN_S):
            while not self.whole:
                self.sent += 1
                try:
                    await self._ask()
                except httpx.TransportError:
                    await asyncio.sleep(AGAIN_S)
        return self

    async def _ask(self) -> None:
        headers = {
            "authorization": f"Bearer {self.gateway.key}",
            "idempotency-key": self.key,
            "x-kilocode-taskid": self.key,
            **({"last-event-id": str(len(self.content))} if self.content else {}),
        }
        url, body = (
            f"{self.gateway.base_url}/chat/completions",
            chat(f"{self.key} [[stub chunks=40 gap_ms=50]]", stream=True),
        )
        got = b""
        try:
            async with self.gateway.http.stream("POST", url, json=body, headers=headers) as response:
                if response.status_code in (502, 503):
                    await asyncio.sleep(AGAIN_S)
                    return
                assert response.status_code == 200, await response.aread()
                self.request_ids.add(response.headers["x-request-id"])
                async for piece in response.aiter_raw():
                    got += piece
        finally:
            # A comment is the connection's, and counts for nothing.
            events = re.sub(rb"^: keep-alive\n", b"", got, flags=re.MULTILINE)
            self.content += events[: events.rfind(b"\n\n") + 2] if b"\n\n" in events else b""
