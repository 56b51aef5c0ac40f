"""Answers of Responses that a client wants kept: ``responses.contents.v1`` and ``responses.index.v1``. See ADR 17."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from .record import JSON, NO_HEADERS, EpochMs, Record, RequestId

Locator = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
"""Names a stored response. Whoever has the response's ID can compute it, and nobody can compute the ID from it."""

SEALED = "application/octet-stream"


class ResponseSealed(Record):
    """A response with its input, sealed with a key that only its ID holds: it is the record's whole value."""

    locator: Locator
    sealed: Annotated[bytes, Field(repr=False)]

    @property
    def event_subject(self) -> str:
        return self.locator

    @property
    def media_type(self) -> str:
        return SEALED

    def encode(self) -> bytes:
        return self.sealed

    @classmethod
    def decode(
        cls, value: bytes, subject: str, media_type: str = JSON, headers: Mapping[str, bytes] = NO_HEADERS
    ) -> Self:
        return cls(locator=subject, sealed=value)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "format": "binary", "title": cls.__name__, "description": cls.__doc__}


class ResponseStored(Record):
    """Whose it is, and where its `ResponseSealed` lies."""

    locator: Locator
    owner: str
    partition: Annotated[int, Field(ge=0)]
    offset: Annotated[int, Field(ge=0)]
    sealed_bytes: Annotated[int, Field(ge=0)]
    expires_at_ms: EpochMs

    @property
    def event_subject(self) -> str:
        return self.locator


class ResponseBegun(Record):
    """Its owner has the ID, and the answer is made in the background: `ResponseStored` follows, if it ends well."""

    locator: Locator
    owner: str
    request_id: RequestId
    partition: Annotated[int, Field(ge=0)]
    """Of ``gateway.replies``, where the answer comes to as it is made."""
    offset: Annotated[int, Field(ge=0)]
    """Its first record is there, or later."""
    model: str
    kept: bool = False
    """For an ``Idempotency-Key``: on ``gateway.kept-replies``, sealed with what follows from the ID."""
    begun_at_ms: EpochMs
    expires_at_ms: EpochMs

    @property
    def event_subject(self) -> str:
        return self.locator


class ResponseDeleted(Record):
    """Its owner wants it gone. What is sealed stays until the log lets go of it; nobody is given it any more."""

    locator: Locator
    owner: str

    @property
    def event_subject(self) -> str:
        return self.locator


StoreEvent = ResponseStored | ResponseBegun | ResponseDeleted
