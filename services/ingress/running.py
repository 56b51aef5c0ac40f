"""Runs batches: one ingress at a time has one, and any goes on where another has died (ADR 45)."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import structlog

from contracts.batches import (
    MOST_PROBLEMS,
    BatchAdvanced,
    BatchEnded,
    BatchLeased,
    BatchOrdered,
    Ended,
    Part,
    Problem,
)
from contracts.clock import now_ms
from libs.batches.index import Batch
from libs.config.gateway import Batches
from libs.runtime.background import Repeated, Tasks
from libs.sealing.named import Named
from libs.telemetry.instruments import BATCH_LINES, BATCHES, BATCHES_ENDED
from services.ingress.batch_log import BatchLog
from services.ingress.core.errors import Forbidden, IngressError, NotFound, Unauthorized
from services.ingress.core.lines import Line, LineError, Reason, line_of, lines_of, not_answered
from services.ingress.lines import Done, Lines, line_id

log = structlog.get_logger()

MOST_BATCHES = 4
"""That one ingress runs at a time, each of another owner."""
LOOK_EVERY_S = 5.0
AHEAD = 64
AHEAD_BYTES = 32 * 1024 * 1024
"""Lines of a batch that are done or under way, beyond those that are on the log."""
ADVANCE_LINES = 32
ADVANCE_BYTES = 4 * 1024 * 1024
ADVANCE_S = 5.0
"""At the latest, and at the earliest with so many lines or bytes, what is done is written."""
EXPIRED = Reason("batch_expired", "The batch was not done in time; this line was not run.")
CANCELLED = Reason("batch_cancelled", "The batch was cancelled before this line was run.")
REFUSED = Reason("key_not_valid", "The API key that the batch was made with is not valid any more.")


class Lost(Exception):
    """Another ingress runs the batch."""


class Runner:
    """Looks for batches that nobody runs, and runs them."""

    def __init__(self, log: BatchLog, lines: Lines, batches: Batches, ingress_id: str) -> None:
        self._log = log
        self._lines = lines
        self._batches = batches
        self._ingress_id = ingress_id
        self._tasks = Tasks("batches")
        self._running: dict[str, asyncio.Task[None]] = {}
        """By owner."""
        BATCHES.observe("batches", lambda: [(count, (status,)) for status, count in log.index.by_status().items()])
        self.background = Repeated("look for batches", self._look, every_s=LOOK_EVERY_S)
        self._waker = Repeated("look for batches at once", self._wake)

    async def start(self) -> None:
        """Begins to look."""
        await self.background.start()
        await self._waker.start()
        self._waker.wake()

    async def stop(self) -> None:
        """Leaves its batches to others at once."""
        await self._waker.stop()
        await self.background.stop()
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _wake(self) -> None:
        while True:
            await self._log.changed.wait()
            self._log.changed.clear()
            self.background.wake()

    async def _look(self) -> None:
        while self._batches.at_once and len(self._running) < MOST_BATCHES:
            batch = self._log.index.free(self._ingress_id, now_ms(), self._running)
            if batch is None:
                return
            await self._lease(batch, now_ms() + int(self._batches.lease_s * 1000))
            if not batch.is_runner(self._ingress_id) or batch.ended:
                continue
            owner = batch.created.owner
            self._running[owner] = self._tasks.spawn(self._run(batch, owner))

    async def _lease(self, batch: Batch, until_ms: int) -> None:
        leased = BatchLeased(
            locator=batch.created.locator,
            owner=batch.created.owner,
            runner=self._ingress_id,
            at_ms=now_ms(),
            until_ms=until_ms,
        )
        await self._log.add(leased)

    async def _run(self, batch: Batch, owner: str) -> None:
        try:
            async with self._leased(batch):
                await _Run(self._log, self._lines, batch, self._ingress_id).run()
        except Lost:
            log.info("another ingress runs the batch", batch=batch.created.locator)
        except IngressError as error:
            # The log is away. Whoever has the lease next goes on.
            log.warning("a batch pauses", batch=batch.created.locator, error=str(error))
        finally:
            del self._running[owner]
            self.background.wake()

    @asynccontextmanager
    async def _leased(self, batch: Batch) -> AsyncIterator[None]:
        async def renew() -> None:
            while True:
                await asyncio.sleep(self._batches.lease_s / 3)
                with suppress(IngressError):
                    await self._lease(batch, now_ms() + int(self._batches.lease_s * 1000))

        renewing = asyncio.create_task(renew())
        try:
            yield
        finally:
            renewing.cancel()
            if not batch.ended and batch.is_runner(self._ingress_id):
                with suppress(IngressError):
                    await self._lease(batch, now_ms())


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """A line that was begun, and is not on the log yet."""

    task: "asyncio.Task[Done]"
    size: int


class _Run:
    """One batch at this ingress."""

    def __init__(self, log: BatchLog, lines: Lines, batch: Batch, ingress_id: str) -> None:
        self._log = log
        self._lines = lines
        self._batch = batch
        self._ingress_id = ingress_id
        self._under_way: deque[_UnderWay] = deque()
        """Lines after those that are on the log, in their order."""
        self._size = 0
        """Bytes of these lines."""
        self._refused: IngressError | None = None
        """Whoever made the batch may not ask any more."""

    def _stopped(self) -> Reason | None:
        """Why no further line begins."""
        if self._refused is not None:
            return REFUSED
        if self._batch.cancelled_at_ms is not None:
            return CANCELLED
        return EXPIRED if now_ms() >= self._batch.created.due_at_ms else None

    def _patient(self) -> bool:
        """Half of its time is left, in which lines may wait for providers to have room for less."""
        created = self._batch.created
        return now_ms() < (created.created_at_ms + created.due_at_ms) // 2

    async def run(self) -> None:
        """Runs it to its end.

        Raises:
            Lost: another ingress runs it.
            Unavailable: the log is away.
        """
        batch = self._batch
        ordered = await self._log.ordered(batch)
        if ordered is None:
            await self._end(Ended.EXPIRED)
            return
        try:
            if batch.began_at_ms is None:
                if problems := await self._check(ordered):
                    await self._end(Ended.FAILED, problems)
                    return
                await self._advance(ordered, [])
            await self._run_lines(ordered)
        except NotFound as error:
            await self._end(Ended.FAILED, [Problem(code="input_file_gone", message=str(error))])
        finally:
            for one in self._under_way:
                one.task.cancel()
            await asyncio.gather(*(one.task for one in self._under_way), return_exceptions=True)

    async def _check(self, ordered: BatchOrdered) -> list[Problem]:
        problems: list[Problem] = []
        seen: set[str] = set()
        async for number, raw in self._read(ordered, 0):
            try:
                line = line_of(raw, ordered.surface, ordered.url)
                if line.custom_id in seen:
                    raise LineError("duplicate_custom_id", "`custom_id` is that of an earlier line.", "custom_id")
                seen.add(line.custom_id)
            except LineError as error:
                problems.append(error.problem(number + 1))
            if len(problems) == MOST_PROBLEMS:
                break
            # Others go on meanwhile.
            await asyncio.sleep(0)
        return problems

    async def _read(self, ordered: BatchOrdered, since: int) -> AsyncIterator[tuple[int, bytes]]:
        """The lines from one on, with their numbers."""
        named, file = await self._log.file(ordered.input_file_id, self._batch.created.owner)
        number = 0
        for part in file.parts:
            if number + part.lines > since:
                for at, raw in enumerate(lines_of(await self._log.read(named, part)), start=number):
                    if at >= since:
                        yield at, raw
            number += part.lines

    async def _run_lines(self, ordered: BatchOrdered) -> None:
        async for number, raw in self._read(ordered, self._batch.done):
            while len(self._under_way) >= AHEAD or self._size >= AHEAD_BYTES:
                await self._write_what_is_done(ordered, wait=True)
            if self._stopped() in (CANCELLED, REFUSED):
                break
            line = line_of(raw, ordered.surface, ordered.url)
            self._under_way.append(_UnderWay(asyncio.create_task(self._run_line(ordered, number, line)), len(raw)))
            self._size += len(raw)
            await self._write_what_is_done(ordered, wait=False)
        while self._under_way:
            await self._write_what_is_done(ordered, wait=True)
        await self._end_as_it_is()

    async def _run_line(self, ordered: BatchOrdered, number: int, line: Line) -> Done:
        try:
            return await self._lines.run(ordered, number, line, self._stopped, self._patient)
        except (Unauthorized, Forbidden) as error:
            self._refused = error
            return Done(error.status, not_answered(line_id(ordered, number), line.custom_id, REFUSED))

    async def _end_as_it_is(self) -> None:
        batch = self._batch
        if self._refused is not None:
            await self._end(Ended.FAILED, [Problem(code=REFUSED.code, message=str(self._refused))])
        elif batch.done < batch.created.lines:
            await self._end(Ended.CANCELLED)
        else:
            late = now_ms() >= batch.created.due_at_ms
            await self._end(Ended.EXPIRED if late else Ended.COMPLETED)

    async def _write_what_is_done(self, ordered: BatchOrdered, *, wait: bool) -> None:
        """Writes the lines at the front that have ended.

        Args:
            wait: until there is something to write; else only what is much is written.
        """
        if wait:
            front = [one.task for one in self._under_way]
            await asyncio.wait(front[:1])
            await asyncio.wait(front[:ADVANCE_LINES], timeout=ADVANCE_S)
        done: list[Done] = []
        for one in self._under_way:
            if not one.task.done():
                break
            done.append(one.task.result())
        if done and (wait or len(done) >= ADVANCE_LINES or sum(len(one.content) for one in done) >= ADVANCE_BYTES):
            await self._advance(ordered, done)
            for _ in done:
                self._size -= self._under_way.popleft().size

    async def _advance(self, ordered: BatchOrdered, done: list[Done]) -> None:
        batch, created = self._batch, self._batch.created
        until, failed = batch.done + len(done), sum(one.failed for one in done)
        output = b"".join(one.content for one in done if not one.failed)
        errors = b"".join(one.content for one in done if one.failed)
        event = BatchAdvanced(
            locator=created.locator,
            owner=created.owner,
            since=batch.done,
            done=until,
            completed=len(done) - failed,
            failed=failed,
            output=await self._write(ordered.output_file_id, len(batch.output), output),
            errors=await self._write(ordered.error_file_id, len(batch.errors), errors),
            at_ms=now_ms(),
        )
        await self._log.add(event)
        if not batch.is_runner(self._ingress_id) or batch.done != until:
            raise Lost
        BATCH_LINES.add(event.completed, "completed")
        BATCH_LINES.add(event.failed, "failed")

    async def _write(self, file_id: str, number: int, content: bytes) -> Part | None:
        return await self._log.write(Named(file_id, self._batch.created.owner), number, content) if content else None

    async def _end(self, status: Ended, problems: list[Problem] | None = None) -> None:
        created = self._batch.created
        ended = BatchEnded(
            locator=created.locator, owner=created.owner, status=status, at_ms=now_ms(), problems=problems or []
        )
        await self._log.add(ended)
        BATCHES_ENDED.add(1, status.value)
