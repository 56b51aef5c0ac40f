"""Which files and batches there are, and how far each batch is. Pure: a fold over ``batches.index.v1``.

All ingresses fold the same records in the same order, so they agree on who runs a batch, and on which of two that ran
the same lines is taken (ADR 45).
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Collection
from dataclasses import dataclass, field

from contracts import topics
from contracts.batches import (
    BatchAdvanced,
    BatchCancelled,
    BatchCreated,
    BatchEnded,
    BatchEvent,
    BatchLeased,
    FileDeleted,
    FileStored,
    Part,
)

KEPT_MS = topics.FILES.retention_ms
"""How long the log has the parts of files."""
LEAST_HELD = 64 * 1024
"""That a file counts for: so the files of an owner are bounded in number, too, deleted ones with them."""
MOST_BATCHES = 1_000
"""Of an owner that are known: the oldest that have ended make way."""

UNFINISHED = ("validating", "in_progress", "finalizing", "cancelling")
"""What a batch may be before its end."""


@dataclass(slots=True)
class Batch:
    """One batch as the log has it."""

    created: BatchCreated
    began_at_ms: int | None = None
    """Its lines have been checked."""
    done: int = 0
    completed: int = 0
    failed: int = 0
    done_at_ms: int | None = None
    """All lines."""
    output: list[Part] = field(default_factory=list)
    errors: list[Part] = field(default_factory=list)
    cancelled_at_ms: int | None = None
    ended: BatchEnded | None = None
    lease: BatchLeased | None = None

    @property
    def status(self) -> str:
        """As OpenAI names it."""
        if self.ended:
            return self.ended.status
        if self.cancelled_at_ms is not None:
            return "cancelling"
        if self.began_at_ms is None:
            return "validating"
        return "in_progress" if self.done_at_ms is None else "finalizing"

    def is_runner(self, runner: str) -> bool:
        """Whether its lease is this ingress's."""
        return self.lease is not None and self.lease.runner == runner

    def apply(self, event: BatchLeased | BatchAdvanced | BatchCancelled) -> None:
        """Takes in what becomes of it."""
        if self.ended:
            return
        if isinstance(event, BatchLeased):
            if self.lease is None or self.lease.runner == event.runner or event.at_ms >= self.lease.until_ms:
                self.lease = event
        elif isinstance(event, BatchCancelled):
            self.cancelled_at_ms = self.cancelled_at_ms or event.at_ms
        elif event.since == self.done and event.done >= event.since:
            self.began_at_ms = self.began_at_ms or event.at_ms
            self.done = event.done
            self.completed += event.completed
            self.failed += event.failed
            self.output += [event.output] if event.output else []
            self.errors += [event.errors] if event.errors else []
            if self.done >= self.created.lines:
                self.done_at_ms = self.done_at_ms or event.at_ms


@dataclass(slots=True)
class StoredFile:
    """A file that is there."""

    locator: str
    key_fingerprint: str
    """Of the API key that lists it."""
    sealed_id: str
    """See `Listed.listed`."""
    about: str
    parts: list[Part]
    created_at_ms: int
    expires_at_ms: int

    @property
    def size(self) -> int:
        """Bytes of its content."""
        return sum(part.size for part in self.parts)

    @property
    def lines(self) -> int:
        """How many it has."""
        return sum(part.lines for part in self.parts)


@dataclass(slots=True)
class _Owned:
    files: "OrderedDict[str, StoredFile]" = field(default_factory=OrderedDict)
    batches: "OrderedDict[str, Batch]" = field(default_factory=OrderedDict)
    """By locator, the oldest first."""
    sealed: deque[tuple[int, int]] = field(default_factory=deque)
    """What the log holds of its files: until when, and how many bytes."""
    sealed_bytes: int = 0

    def hold(self, parts: Collection[Part], until_ms: int) -> None:
        size = max(LEAST_HELD, sum(part.sealed_bytes for part in parts))
        self.sealed.append((until_ms, size))
        self.sealed_bytes += size


class BatchIndex:
    """The files and batches of all owners."""

    def __init__(self, kept_ms: int) -> None:
        """
        Args:
            kept_ms: how long the log has the parts of files.
        """
        self._kept_ms = kept_ms
        self._owners: dict[str, _Owned] = {}
        self._unfinished: OrderedDict[str, Batch] = OrderedDict()

    def apply(self, event: BatchEvent) -> None:
        """Takes in the next record of the topic."""
        owned = self._owners.setdefault(event.owner, _Owned())
        if isinstance(event, FileStored):
            owned.hold(event.parts, event.created_at_ms + self._kept_ms)
            file = StoredFile(
                locator=event.locator,
                key_fingerprint=event.key_fingerprint,
                sealed_id=event.listed,
                about=event.about,
                parts=event.parts,
                created_at_ms=event.created_at_ms,
                expires_at_ms=event.expires_at_ms,
            )
            owned.files.setdefault(event.locator, file)
        elif isinstance(event, FileDeleted):
            owned.files.pop(event.locator, None)
        elif isinstance(event, BatchCreated):
            if event.locator not in owned.batches:
                owned.batches[event.locator] = self._unfinished[event.locator] = Batch(event)
                self._make_way(owned)
        elif (batch := owned.batches.get(event.locator)) is not None:
            if isinstance(event, BatchEnded):
                self._end(owned, batch, event)
            else:
                batch.apply(event)

    @staticmethod
    def _make_way(owned: _Owned) -> None:
        if len(owned.batches) > MOST_BATCHES:
            oldest = next((locator for locator, batch in owned.batches.items() if batch.ended), None)
            owned.batches.pop(oldest or "", None)

    def _end(self, owned: _Owned, batch: Batch, event: BatchEnded) -> None:
        if batch.ended:
            return
        batch.ended, created = event, batch.created
        self._unfinished.pop(event.locator, None)
        for locator, sealed_id, about, parts in (
            (created.output_locator, created.output_listed, created.output_about, batch.output),
            (created.error_locator, created.error_listed, created.error_about, batch.errors),
        ):
            if parts:
                owned.hold(parts, event.at_ms + self._kept_ms)
                owned.files[locator] = StoredFile(
                    locator=locator,
                    key_fingerprint=created.key_fingerprint,
                    sealed_id=sealed_id,
                    about=about,
                    parts=parts,
                    created_at_ms=event.at_ms,
                    expires_at_ms=created.created_at_ms + self._kept_ms,
                )

    def file(self, owner: str, locator: str, now_ms: int) -> StoredFile | None:
        """A file of an owner; None where there is none, or not any more."""
        owned = self._owners.get(owner)
        found = owned.files.get(locator) if owned else None
        return found if found and found.expires_at_ms > now_ms else None

    def batch(self, owner: str, locator: str, now_ms: int) -> Batch | None:
        """A batch of an owner, likewise."""
        owned = self._owners.get(owner)
        found = owned.batches.get(locator) if owned else None
        return found if found and found.created.expires_at_ms > now_ms else None

    def files(self, owner: str) -> list[StoredFile]:
        """All files of an owner, the oldest first."""
        owned = self._owners.get(owner)
        return list(owned.files.values()) if owned else []

    def batches(self, owner: str) -> list[Batch]:
        """All batches of an owner, the oldest first."""
        owned = self._owners.get(owner)
        return list(owned.batches.values()) if owned else []

    def sealed_bytes(self, owner: str) -> int:
        """What the log holds of an owner's files."""
        owned = self._owners.get(owner)
        return owned.sealed_bytes if owned else 0

    def unfinished(self, owner: str) -> int:
        """How many batches of an owner have not ended."""
        return sum(batch.created.owner == owner for batch in self._unfinished.values())

    def all_unfinished(self) -> list[Batch]:
        """The batches of all owners that have not ended, the oldest first."""
        return list(self._unfinished.values())

    def by_status(self) -> Counter[str]:
        """How many batches of all owners have not ended, by status; those of none are 0."""
        found = Counter(dict.fromkeys(UNFINISHED, 0))
        found.update(batch.status for batch in self._unfinished.values())
        return found

    def free(self, runner: str, now_ms: int, busy: Collection[str]) -> Batch | None:
        """The batch that an ingress may run next: the oldest that nobody runs, of an owner that has none running here.

        Args:
            busy: owners of the batches that it runs.
        """
        for batch in self._unfinished.values():
            lease = batch.lease
            theirs = lease is not None and lease.runner != runner and lease.until_ms > now_ms
            if not theirs and batch.created.owner not in busy:
                return batch
        return None

    def expire(self, now_ms: int) -> None:
        """Forgets what the log does not have any more."""
        for owner, owned in list(self._owners.items()):
            for locator, file in list(owned.files.items()):
                if file.expires_at_ms <= now_ms:
                    del owned.files[locator]
            for locator, batch in list(owned.batches.items()):
                if batch.created.expires_at_ms <= now_ms:
                    del owned.batches[locator]
                    self._unfinished.pop(locator, None)
            while owned.sealed and owned.sealed[0][0] <= now_ms:
                owned.sealed_bytes -= owned.sealed.popleft()[1]
            if not (owned.files or owned.batches or owned.sealed):
                del self._owners[owner]
