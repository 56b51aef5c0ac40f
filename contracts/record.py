"""What every record shares: immutable, tolerant of newer fields, versioned by its topic."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

RequestId = Annotated[str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$")]
"""A UUIDv7 (RFC 9562) in its canonical form; it sorts by the time of admission."""

Subject = Annotated[str, Field(pattern=r"^(org|acct|ip):.{1,128}$")]
"""Who a quota is counted against: ``org:<id>``, ``acct:<id>``, or ``ip:<address>`` for free models."""

EpochMs = Annotated[int, Field(ge=0)]
"""Milliseconds since 1970-01-01T00:00:00Z."""


class Record(BaseModel):
    """A past participle of what happened. Unknown fields are ignored, so that a newer writer harms nobody."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class ReplyAddress(Record):
    """Where the answer goes: one ingress's partition of ``gateway.replies``, for as long as its claim holds."""

    partition: Annotated[int, Field(ge=0)]
    ingress_id: str

    def encode(self) -> str:
        """Header form, so that even a record whose value is broken can be answered."""
        return f"{self.partition}/{self.ingress_id}"

    @classmethod
    def decode(cls, text: str) -> "ReplyAddress":
        """Inverse of `encode`.

        Raises:
            ValueError: the text is not of that form.
        """
        partition, _, ingress_id = text.partition("/")
        return cls(partition=int(partition), ingress_id=ingress_id)


class Refusal(Record):
    """Why a request is not served, in the words its client will read."""

    status: Annotated[int, Field(ge=400, le=599)]
    message: str
    metadata: dict[str, str | int | float | bool | None] = {}
    retry_after_s: Annotated[int, Field(ge=0)] | None = None
