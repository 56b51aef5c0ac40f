"""Answers of Responses that a client wants kept: ``responses.contents.v1`` and ``responses.index.v1``. See ADR 17."""

from typing import Annotated

from pydantic import Field

from .record import EpochMs, Record, RequestId
from .sealed import Locator, SealedRecord


class ResponseSealed(SealedRecord):
    """A response with its input, sealed with a key that only its ID holds: it is the record's whole value."""


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
