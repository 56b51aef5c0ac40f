"""Batches and files as the console shows them: how far, how large, by which key; never what is in them. Pure."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Literal, TypeVar

from contracts.batches import Problem
from libs.batches.index import Batch, BatchIndex, StoredFile
from services.console.answers import Answer, time_of
from services.console.core.cursors import Position, Slice

Status = Literal["validating", "in_progress", "finalizing", "cancelling", "completed", "failed", "expired", "cancelled"]
"""OpenAI's."""


class BatchProblem(Answer):
    """Why a batch has failed; nothing of a line's content."""

    code: str
    message: str
    line: int | None
    """Of its file, from 1."""


class BatchState(Answer):
    """A batch of requests, without its ID: that is its client's key to it."""

    name: str
    """On the log."""
    owner: str
    key_fingerprint: str
    """Of the API key that made it."""
    status: Status
    lines: int
    completed: int
    failed: int
    created_at: datetime
    due_at: datetime
    """Lines that have not begun by then are not run."""
    ended_at: datetime | None
    problems: list[BatchProblem]

    @property
    def position(self) -> Position:
        """Among batches."""
        return Position(self.created_at, self.name)

    @property
    def percent(self) -> int:
        """Of its lines, those that are done."""
        return 100 * (self.completed + self.failed) // self.lines if self.lines else 0


class FileState(Answer):
    """A file, without its ID and its name."""

    name: str
    """On the log."""
    key_fingerprint: str
    bytes: int
    lines: int
    created_at: datetime
    expires_at: datetime

    @property
    def position(self) -> Position:
        """Among files."""
        return Position(self.created_at, self.name)


R = TypeVar("R", BatchState, FileState)


def batches_of(index: BatchIndex, owner: str, keys: Collection[str] | None, now_ms: int) -> list[BatchState]:
    """An owner's.

    Args:
        keys: fingerprints of those that made them; None: any.
    """
    found = (one for one in index.batches(owner) if one.created.expires_at_ms > now_ms)
    return [batch_state(one) for one in found if keys is None or one.created.key_fingerprint in keys]


def files_of(index: BatchIndex, owner: str, keys: Collection[str] | None, now_ms: int) -> list[FileState]:
    """Likewise."""
    found = (one for one in index.files(owner) if one.expires_at_ms > now_ms)
    return [_file(one) for one in found if keys is None or one.key_fingerprint in keys]


def newest(rows: Iterable[R], part: Slice) -> list[R]:
    """A part of the rows, the newest first, and one more by which it is seen whether there are more."""
    order = sorted(rows, key=lambda row: (row.created_at, row.name), reverse=True)
    after = part.after
    left = [row for row in order if after is None or (row.created_at, row.name) < (after.at, after.id)]
    return left[: part.rows]


def batch_state(batch: Batch) -> BatchState:
    """One batch."""
    created, ended = batch.created, batch.ended
    return BatchState.model_validate(
        {
            "name": created.locator,
            "owner": created.owner,
            "key_fingerprint": created.key_fingerprint,
            "status": batch.status,
            "lines": created.lines,
            "completed": batch.completed,
            "failed": batch.failed,
            "created_at": time_of(created.created_at_ms),
            "due_at": time_of(created.due_at_ms),
            "ended_at": time_of(ended.at_ms) if ended else None,
            "problems": [_problem(one) for one in ended.problems] if ended else [],
        }
    )


def _problem(problem: Problem) -> BatchProblem:
    return BatchProblem(code=problem.code, message=problem.message, line=problem.line)


def _file(file: StoredFile) -> FileState:
    return FileState(
        name=file.locator,
        key_fingerprint=file.key_fingerprint,
        bytes=file.size,
        lines=file.lines,
        created_at=time_of(file.created_at_ms),
        expires_at=time_of(file.expires_at_ms),
    )
