"""Answers of Responses that the client wants stored by the gateway: their IDs, and what is kept of them. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from contracts.requests import RequestFacts, Surface
from contracts.usage import TokenUsage
from libs.chat.exact_json import decode, encode
from libs.chat.providers.answers import Answer, Exchange, Rewritten
from libs.chat.surfaces import references
from libs.sealing.responses import new_response_id

_ENDS = ("response.completed", "response.incomplete")
_OF_RESPONSE = re.compile(
    r"^event: response\.(?:created|queued|in_progress|completed|incomplete|failed)$", re.MULTILINE
)


def is_kept(request: RequestFacts, body: Mapping[str, Any]) -> bool:
    """The client says ``store: true``, and nothing that only a provider's store can do. Nothing is kept for anonymous
    clients, who could not come back for it."""
    if request.surface is not Surface.RESPONSES or body.get("store") is not True or not request.caller.account_id:
        return False
    return not references.are_kept_by_provider({**body, "store": None})


@dataclass(frozen=True, slots=True)
class Kept:
    """What is stored of an answer."""

    response_id: str = field(repr=False)
    """It opens what is stored."""
    content: bytes = field(repr=False)
    """JSON: ``input``, ``response``."""


class Keeper:
    """Follows one answer."""

    def __init__(self, body: Mapping[str, Any], response_id: str | None = None, *, background: bool = False) -> None:
        """
        Args:
            response_id: which its client knows already.
            background: the answer is made in the background.
        """
        self._background = background
        self._input = _items(body.get("input"))
        self._response: dict[str, Any] | None = None
        self.response_id = response_id or new_response_id()

    @property
    def kept(self) -> Kept | None:
        """What is to be stored, once the answer has ended well."""
        if self._response is None:
            return None
        return Kept(self.response_id, encode({"input": self._input, "response": self._response}).encode())

    def keeping(self, exchange: Exchange) -> Exchange:
        """The exchange, whose answer has the ID under which it is stored."""

        def whole(data: bytes) -> Answer:
            answer = exchange.whole(data)

            def body(counted: TokenUsage | None) -> str:
                self._response = self._named(decode(answer.body(counted)))
                return encode(self._response)

            return replace(answer, body=body)

        stream = Rewritten(exchange.stream, event=self.rewritten, end=self.rewritten)
        return replace(exchange, stream=stream, whole=whole)

    def _named(self, response: dict[str, Any]) -> dict[str, Any]:
        return {**response, "id": self.response_id, "store": True, "background": self._background}

    def rewritten(self, events: str) -> str:
        """Events with the response's ID; the last one has the response."""
        if not _OF_RESPONSE.search(events):
            return events
        return "".join(self._event(event) for event in events.split("\n\n") if event)

    def _event(self, event: str) -> str:
        head, found, data = event.partition("data: ")
        if not found or not _OF_RESPONSE.search(head):
            return f"{event}\n\n"
        content = decode(data)
        if isinstance(content.get("response"), dict):
            content["response"] = self._named(content["response"])
            if content.get("type") in _ENDS:
                self._response = content["response"]
        return f"{head}data: {encode(content)}\n\n"


def _items(given: Any) -> list[Any]:
    if isinstance(given, list):
        return [item for item in given if isinstance(item, dict)]
    text = {"type": "input_text", "text": str(given or "")}
    return [{"type": "message", "role": "user", "content": [text]}]
