"""Streams of text on each surface, read as their clients read them."""

import asyncio
import re
from dataclasses import dataclass, field
from typing import Any

import orjson

from tests.stacks import Gateway, chat

ASKED: dict[str, dict[str, Any]] = {
    "/chat/completions": {"stream_options": {"include_usage": True}},
    "/messages": {"max_tokens": 500},
    "/responses": {"store": True},
}
"""What each wants beside the model and the text."""


@dataclass
class Text:
    """One stream."""

    gateway: Gateway
    path: str
    body: dict[str, Any]
    headers: dict[str, str]
    content: bytes = b""
    request_id: str = ""
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def of(cls, gateway: Gateway, path: str, model: str, text: str, **headers: str) -> "Text":
        """A request of this surface."""
        asked = {"input": text} if path == "/responses" else {"messages": chat(text)["messages"]}
        body = {"model": model, "stream": True, **asked, **ASKED[path]}
        return cls(gateway, path, body, {"Authorization": f"Bearer {gateway.key}", **headers})

    async def read(self) -> "Text":
        """To its end."""
        url = f"{self.gateway.base_url}{self.path}"
        async with self.gateway.http.stream("POST", url, json=self.body, headers=self.headers) as response:
            assert response.status_code == 200, await response.aread()
            self.request_id = response.headers["x-request-id"]
            async for piece in response.aiter_raw():
                self.content += piece.replace(b": keep-alive\n", b"")
                self.moved.set()
        return self

    async def has(self, words: int) -> None:
        """Returns when so many have come."""
        while len(self.text.split()) < words:
            self.moved.clear()
            await self.moved.wait()

    @property
    def events(self) -> list[dict[str, Any]]:
        """Those that have data."""
        found = re.findall(rb"^data: (\{.*)$", self.content, re.MULTILINE)
        return [orjson.loads(one) for one in found]

    @property
    def ids(self) -> list[int]:
        """Of all events."""
        return [int(found) for found in re.findall(rb"^id: (\d+)$", self.content, re.MULTILINE)]

    @property
    def text(self) -> str:
        """As it grew."""
        return "".join(_piece(event) for event in self.events)


def _piece(event: dict[str, Any]) -> str:
    delta = event.get("delta")
    if isinstance(delta, str):
        return delta
    if isinstance(delta, dict):
        return str(delta.get("text") or "")
    return "".join(choice["delta"].get("content") or "" for choice in event.get("choices") or ())
