"""``gateway.prompts.v1``: what the client sent. Only the relay may read this topic."""

from typing import Annotated, Any, Self

from pydantic import Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema, from_json, to_json

from .record import RequestRecord


class PromptSubmitted(RequestRecord):
    """The client's body, byte for byte: it is the record's whole value, its request is in the headers."""

    body: Annotated[dict[str, Any], Field(repr=False)]
    encoded: Annotated[bytes, Field(repr=False)] = b""
    """The body as it came; where it is missing, the body is encoded anew."""

    def encode(self) -> bytes:
        return self.encoded or to_json(self.body)

    @classmethod
    def decode(cls, value: bytes, subject: str) -> Self:
        body = from_json(value)
        if not isinstance(body, dict):
            raise ValueError("the body is no JSON object")
        return cls(request_id=subject, body=body)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "object", "title": cls.__name__, "description": cls.__doc__}
