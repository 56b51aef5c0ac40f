"""Dead letters: records that could not be handled (operator). Never what is in them."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query

from libs.bus.letters import Letter
from services.console.answers import Answer, time_of
from services.console.core.cursors import Position, Slice
from services.console.core.moments import since_ms
from services.console.paging import Page
from services.console.session import Call, Session
from services.console.store import audit

routes = APIRouter(prefix="/api/dead-letters", tags=["operator"])
TopicName = Annotated[str, Path(max_length=100)]
Number = Annotated[int, Path(ge=0, lt=2**63)]


class DeadLetter(Answer):
    """A record that could not be handled: where it lies, and what its headers say."""

    id: str
    """``<topic>/<partition>/<offset>``."""
    type: str
    subject: str
    key: str
    at: datetime
    readers: list[str]
    state: Literal["open", "retried", "dropped"]
    reason: str
    bytes: int
    trace: str
    resolved_by: str | None
    resolved_at: datetime | None

    @property
    def position(self) -> Position:
        """Among letters, newest first."""
        return Position(self.at, self.id)


class DeadLetterResolution(Answer):
    """What became of it."""

    id: str
    result: Literal["retried", "dropped", "done before"]


@routes.get("")
async def list_dead_letters(
    call: Call,
    page: Page,
    topic: Annotated[str | None, Query(max_length=100)] = None,
    since: datetime | None = None,
    all: Annotated[bool, Query(description="Those that are done, too.")] = False,
) -> list[DeadLetter]:
    """Dead letters that wait for somebody, newest first (operator)."""
    call.check_operator()
    return page.of(await found(call, page.slice, topic, since, everything=all))


@routes.get("/{topic}/{partition}/{offset}")
async def show_dead_letter(topic: TopicName, partition: Number, offset: Number, call: Call) -> DeadLetter:
    """What is known of a letter (operator)."""
    call.check_operator()
    return shown(await call.parts.dead_letters.get(f"{topic}/{partition}/{offset}"))


@routes.post("/{topic}/{partition}/{offset}/retry")
async def retry_dead_letter(topic: TopicName, partition: Number, offset: Number, call: Call) -> DeadLetterResolution:
    """Publish the record again, as it was, and mark the letter done (operator)."""
    return await resolve(call, f"{topic}/{partition}/{offset}", "retry")


@routes.post("/{topic}/{partition}/{offset}/drop")
async def drop_dead_letter(topic: TopicName, partition: Number, offset: Number, call: Call) -> DeadLetterResolution:
    """Mark the letter done without doing anything (operator)."""
    return await resolve(call, f"{topic}/{partition}/{offset}", "drop")


async def found(
    call: Session, part: Slice, topic: str | None, since: datetime | None, *, everything: bool
) -> list[DeadLetter]:
    """A slice of the letters, newest first."""
    letters = await call.parts.dead_letters.find(topic, since_ms(since) if since else None)
    rows = [shown(one) for one in letters if everything or one.resolution is None]
    if part.after:
        after = (part.after.at, part.after.id)
        rows = [row for row in rows if (row.at, row.id) < after]
    return rows[: part.rows]


async def resolve(call: Session, letter_id: str, action: Literal["retry", "drop"]) -> DeadLetterResolution:
    """Does it, and notes who did."""
    call.check_operator()
    queues = call.parts.dead_letters
    done = await (queues.retry if action == "retry" else queues.drop)(letter_id, call.actor.name)
    if done:
        await audit.note(call.connection, call.actor, f"dead_letter.{action}", letter_id)
    result: Literal["retried", "dropped"] = "retried" if action == "retry" else "dropped"
    return DeadLetterResolution(id=letter_id, result=result if done else "done before")


def shown(letter: Letter) -> DeadLetter:
    """As the API and pages show it."""
    resolution = letter.resolution
    return DeadLetter(
        id=letter.letter_id,
        type=letter.type,
        subject=letter.subject,
        key=letter.key,
        at=time_of(letter.at_ms),
        readers=letter.readers,
        state=resolution.action if resolution else "open",
        reason=letter.reason,
        bytes=letter.size,
        trace=letter.trace,
        resolved_by=resolution.resolved_by if resolution else None,
        resolved_at=time_of(resolution.resolved_at_ms) if resolution else None,
    )
