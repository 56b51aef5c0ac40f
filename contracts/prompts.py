"""``gateway.prompts.v1``: what the client sent. Only the relay may read this topic."""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema, from_json

from .headers import ANSWER_KEY, RESPONSE_ID
from .record import JSON, NO_HEADERS, RequestRecord


class PromptSubmitted(RequestRecord):
    """The client's body, byte for byte: it is the record's whole value, its request and its type are in the headers."""

    content: Annotated[bytes, Field(repr=False)]
    content_type: str = JSON
    answer_key: Annotated[bytes | None, Field(repr=False)] = None
    """With which the answer is to be sealed, of a request whose answer is kept."""
    response_id: Annotated[str | None, Field(repr=False)] = None
    """Under which the answer is stored, where the client knows it already (``background``). It opens what is stored."""

    @property
    def media_type(self) -> str:
        return self.content_type

    @property
    def own_headers(self) -> list[tuple[str, bytes]]:
        named = ((ANSWER_KEY, self.answer_key), (RESPONSE_ID, (self.response_id or "").encode()))
        return [(name, value) for name, value in named if value]

    @cached_property
    def body(self) -> dict[str, Any]:
        """The body of a request in JSON. Raises ValueError where it is none."""
        return _object(self.content)

    def encode(self) -> bytes:
        return self.content

    @classmethod
    def decode(
        cls, value: bytes, subject: str, media_type: str = JSON, headers: Mapping[str, bytes] = NO_HEADERS
    ) -> Self:
        if media_type == JSON:
            # What cannot be read is to be known here, where it becomes a dead letter. But objects take many times the
            # room of their text, and a prompt may wait for its route.
            _object(value)
        return cls(
            request_id=subject,
            content=value,
            content_type=media_type,
            answer_key=headers.get(ANSWER_KEY),
            response_id=headers.get(RESPONSE_ID, b"").decode() or None,
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "object", "title": cls.__name__, "description": cls.__doc__}


def _object(content: bytes) -> dict[str, Any]:
    body = from_json(content)
    if not isinstance(body, dict):
        raise ValueError("the body is no JSON object")
    return body
