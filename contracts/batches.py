"""``files.contents.v1``, ``batches.orders.v1``, ``batches.index.v1``: clients' files, and batches. See ADR 45."""

from hashlib import blake2b
from typing import Annotated

from pydantic import Field

from .record import EpochMs, Record, Value, empty
from .requests import Caller, Surface, Voucher
from .sealed import Locator, SealedRecord
from .word import Word

Count = Annotated[int, Field(ge=0)]
Sealed = Annotated[str, Field(repr=False)]
"""Base64 of what only the ID, or the API key, of a client opens."""

MOST_PROBLEMS = 100
"""That are said of one batch."""


class PartSealed(SealedRecord):
    """Some whole lines of a file, sealed with a key that only its ID holds: they are the record's whole value."""

    @property
    def event_id(self) -> str:
        return f"{self.locator}/{blake2b(self.sealed, digest_size=8).hexdigest()}"


class Part(Value):
    """Where a `PartSealed` lies, and how much it is."""

    partition: Count
    offset: Count
    number: Count
    """Of the part in its file: it opens as no other."""
    lines: Count
    size: Count
    """Bytes of the lines."""
    sealed_bytes: Count


class BatchOrdered(Record):
    """What whoever runs a batch must know: it opens the batch and its files, for as long as the log has it."""

    batch_id: Annotated[str, Field(repr=False)]
    input_file_id: Annotated[str, Field(repr=False)]
    output_file_id: Annotated[str, Field(repr=False)]
    error_file_id: Annotated[str, Field(repr=False)]
    locator: Locator
    """Of the batch."""
    caller: Caller
    address: str
    """The client's, by which free models count."""
    voucher: Voucher
    surface: Surface
    url: str
    """As the client named it; each line names it again."""

    @property
    def event_subject(self) -> str:
        return self.locator


class IndexRecord(Record):
    """Something about a file or a batch of an owner. One partition: all who read it agree on what came first."""

    locator: Locator
    owner: str

    @property
    def event_subject(self) -> str:
        return self.locator


class Listed(IndexRecord):
    """What the API key that made it can list."""

    key_fingerprint: str
    listed: Sealed
    """The ID, under the API key."""
    about: Sealed
    """What else its client is shown, under the ID."""
    created_at_ms: EpochMs
    expires_at_ms: EpochMs
    """It is forgotten then."""


class FileStored(Listed):
    """A file is there."""

    parts: list[Part]


class FileDeleted(IndexRecord):
    """Its owner wants it gone. What is sealed stays until the log lets go of it; nobody is given it any more."""


class BatchCreated(Listed):
    """A batch waits to be run. Its output and its errors become files of these locators."""

    input_locator: Locator
    output_locator: Locator
    error_locator: Locator
    output_listed: Sealed
    error_listed: Sealed
    output_about: Sealed
    error_about: Sealed
    lines: Count
    partition: Count
    """Of its `BatchOrdered`."""
    offset: Count
    due_at_ms: EpochMs
    """Lines that have not begun by then are not run."""


class BatchLeased(IndexRecord):
    """An ingress wants to run it. It counts where nobody else's lease does at that time."""

    runner: str
    at_ms: EpochMs
    until_ms: EpochMs

    @property
    def event_id(self) -> str:
        return f"{self.locator}/{self.runner}/{self.at_ms}"


class BatchAdvanced(IndexRecord):
    """Some more of its lines are done. It counts where the lines before are done and these are not: of two that ran
    the same lines the first on the log is taken."""

    since: Count
    """Lines that were done before."""
    done: Count
    """And with these."""
    completed: Count
    failed: Count
    """Of these."""
    output: Part | None = None
    errors: Part | None = None
    at_ms: EpochMs

    @property
    def event_id(self) -> str:
        return f"{self.locator}/{self.since}/{self.done}/{self.at_ms}"


class BatchCancelled(IndexRecord):
    """Its owner wants no more of its lines run."""

    at_ms: EpochMs


class Ended(Word):
    """How a batch ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Problem(Value):
    """Why a batch failed; nothing of a line's content."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None


class BatchEnded(IndexRecord):
    """Nothing more of it is run. The first one counts."""

    status: Ended
    at_ms: EpochMs
    problems: Annotated[list[Problem], Field(max_length=MOST_PROBLEMS)] = empty(list)


BatchEvent = FileStored | FileDeleted | BatchCreated | BatchLeased | BatchAdvanced | BatchCancelled | BatchEnded
