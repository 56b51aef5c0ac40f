"""``sinks.contents.v1``: prompts and answers of organizations whose policy has them kept. See docs/sinks.md."""

from typing import Annotated

from pydantic import Field

from .guardrails import Kind
from .record import EpochMs, RequestRecord, Value


class ContentsKept(Value):
    """Part of an organization's policy: its prompts and answers go to sinks."""

    prompts: bool = True
    answers: bool = True
    redact: list[Kind] = list(Kind)
    """Replaced by its name, for example ``[EMAIL]``, before the record is written; all kinds, unless a list says so."""
    keep_days: Annotated[int, Field(ge=0, le=365)] = 30
    """After so many days the sink deletes them."""


class ContentRecorded(RequestRecord):
    """The texts of one request and its answer, redacted, sealed to the sinks' key: nobody else opens it."""

    organization_id: Annotated[str, Field(pattern=r"^[\w-]{1,64}$")]
    model: str
    keep_days: Annotated[int, Field(ge=0, le=365)]
    recorded_at_ms: EpochMs
    sealed: Annotated[str, Field(repr=False)]
    """Base64 (HPKE): JSON with ``prompt``, ``answer`` and ``outcome``."""
