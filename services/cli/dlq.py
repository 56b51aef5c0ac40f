"""``dlq``: records that could not be handled, kept for the operator."""

import asyncio
import getpass
import socket
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import typer
from aiokafka.errors import KafkaError

from contracts.services import OPERATOR
from contracts.topic import Topic
from contracts.topics import BY_NAME
from deploy.local.errors import StackError
from libs.bus.letters import Letter, LetterError, Letters, counts
from services.cli.brokers import brokers
from services.cli.output import Json, as_json, as_table, report
from services.cli.times import moment

T = TypeVar("T")
dlq = typer.Typer(no_args_is_help=True, help="Dead letters: records that could not be handled.")

OfTopic = Annotated[str | None, typer.Option(help="Of this topic only, such as gateway.usage.v1.")]
Since = Annotated[str | None, typer.Option(help="Written since then: 24h, or a time.")]
Ids = Annotated[list[str] | None, typer.Argument(help="IDs of `dlq list`.")]
By = Annotated[str | None, typer.Option(help="Who does it; without it, user and host.")]


@dlq.command("list")
def list_letters(
    topic: OfTopic = None,
    since: Since = None,
    everything: Annotated[bool, typer.Option("--all", help="Those that are done, too.")] = False,
    count: Annotated[bool, typer.Option("--count", help="How many of which topic, and why.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the oldest first.")] = 1_000,
    json: Json = False,
) -> None:
    """List dead letters that wait for somebody."""

    async def listed(letters: Letters) -> list[Letter]:
        found = await letters.find(_topics(topic), _since_ms(since))
        return [letter for letter in found if everything or letter.resolution is None]

    found = _with_letters(listed)
    rows: list[dict[str, Any]]
    if count:
        rows = [
            {"topic": name, "letters": number, "oldest": _time(oldest), "newest": _time(newest), "reason": reason}
            for name, reason, number, oldest, newest in counts(found)
        ]
    else:
        rows = [_row(letter) for letter in found[:limit]]
    if json:
        as_json(rows)
        return
    as_table(rows, "no dead letters")
    if len(found) > limit and not count:
        report(f"{len(found) - limit} more")


@dlq.command("show")
def show_letter(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="ID of `dlq list`.")], json: Json = False
) -> None:
    """Show what is known of a letter: never what is in its record."""

    async def shown(letters: Letters) -> Letter:
        (letter,) = await _chosen(letters, [letter_id], None, None)
        return letter

    letter = _with_letters(shown)
    row = _row(letter) | {
        "key": letter.key,
        "bytes": letter.size,
        "trace": letter.trace,
        "resolved_by": letter.resolution.resolved_by if letter.resolution else None,
        "resolved_at": _time(letter.resolution.resolved_at_ms) if letter.resolution else None,
    }
    if json:
        as_json(row)
    else:
        as_table([{"field": name, "value": value} for name, value in row.items()], "")


@dlq.command("retry")
def retry_letters(
    ids: Ids = None, topic: OfTopic = None, since: Since = None, by: By = None, json: Json = False
) -> None:
    """Publish records again, as they were, and mark their letters done.

    All services that read the topic see them again; those that had handled them know them by their IDs. Of sinks, only
    those whose letters they were deliver them.
    """
    _resolve(ids, topic, since, json, "retried", lambda letters, letter: letters.retry(letter, by or whoami()))


@dlq.command("drop")
def drop_letters(
    ids: Ids = None, topic: OfTopic = None, since: Since = None, by: By = None, json: Json = False
) -> None:
    """Mark letters done without doing anything."""
    _resolve(ids, topic, since, json, "dropped", lambda letters, letter: letters.drop(letter, by or whoami()))


def _resolve(
    ids: list[str] | None,
    topic: str | None,
    since: str | None,
    json: bool,
    done: str,
    act: Callable[[Letters, Letter], Awaitable[bool]],
) -> None:
    async def resolve(letters: Letters) -> list[dict[str, str]]:
        rows = []
        for letter in await _chosen(letters, ids or [], topic, since):
            try:
                result = done if await act(letters, letter) else "done before"
            except LetterError as error:
                result = str(error)
            rows.append({"id": letter.letter_id, "result": result})
        return rows

    rows = _with_letters(resolve)
    if json:
        as_json(rows)
    else:
        as_table(rows, "no dead letters")
    if any(row["result"] not in (done, "done before") for row in rows):
        raise typer.Exit(1)


async def _chosen(letters: Letters, ids: Sequence[str], topic: str | None, since: str | None) -> list[Letter]:
    """Letters by ID, or the open ones of a topic."""
    if bool(ids) == bool(topic):
        raise StackError("name letters by ID, or a --topic")
    if topic:
        return [letter for letter in await letters.find(_topics(topic), _since_ms(since)) if not letter.resolution]
    names = {letter_id.partition("/")[0] for letter_id in ids}
    found = await letters.find([one for name in sorted(names) for one in _topics(name)])
    by_id = {letter.letter_id: letter for letter in found}
    for letter_id in ids:
        if letter_id not in by_id:
            raise StackError(f"there is no dead letter {letter_id!r}; see `./sluice dlq list --all`")
    return [by_id[letter_id] for letter_id in dict.fromkeys(ids)]


def _with_letters(use: Callable[[Letters], Awaitable[T]]) -> T:
    async def run() -> T:
        async with Letters(brokers()) as letters:
            return await use(letters)

    try:
        return asyncio.run(run())
    except KafkaError as error:
        raise StackError(f"the broker does not answer ({type(error).__name__})") from None


def _topics(name: str | None) -> list[Topic[Any]]:
    if name is None:
        return list(OPERATOR.republishes)
    if name not in BY_NAME:
        raise StackError(f"there is no topic {name!r}; there are {', '.join(sorted(BY_NAME))}")
    return [BY_NAME[name]]


def _since_ms(since: str | None) -> int | None:
    return int(datetime.fromisoformat(moment(since)).timestamp() * 1000) if since else None


def _row(letter: Letter) -> dict[str, Any]:
    return {
        "id": letter.letter_id,
        "type": letter.type,
        "subject": letter.subject,
        "at": _time(letter.at_ms),
        "readers": ", ".join(letter.readers),
        "state": letter.resolution.action if letter.resolution else "open",
        "reason": letter.reason,
    }


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")


def whoami() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"
