"""Records whose whole value is sealed with a key that only the ID of what they hold gives."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from .record import JSON, NO_HEADERS, Record

Locator = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
"""Names what is stored. Whoever has its ID can compute it, and nobody can compute the ID from it."""

SEALED = "application/octet-stream"


class SealedRecord(Record):
    """Its key is a locator, its value the sealed bytes and nothing else."""

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
