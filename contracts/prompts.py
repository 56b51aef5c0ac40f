"""``gateway.prompts.v1``: what the client said. Only the relay may read this topic."""

from typing import Any

from contracts.record import Record, RequestId


class PromptSubmitted(Record):
    """The client's body, as it came."""

    request_id: RequestId
    body: dict[str, Any]

    def __repr__(self) -> str:
        return f"PromptSubmitted(request_id={self.request_id!r}, body=<{len(self.body)} fields>)"

    __str__ = __repr__
