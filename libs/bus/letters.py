"""Dead letters as an operator sees them: found, retried and dropped. Never what is in a record."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from contracts import headers as names
from contracts.clock import now_ms
from contracts.headers import header
from contracts.letters import DeadLetterResolved
from contracts.services import OPERATOR
from contracts.topic import Topic
from contracts.topics import BY_NAME, RESOLUTIONS
from libs.bus.producer import Producer, settle
from libs.bus.reading import read_one, read_queues, read_to_end
from libs.bus.records import PoisonError, Raw, decode
from libs.bus.settings import BusSettings

MOST_CHARACTERS = 300
"""Of what a header says."""


class LetterError(Exception):
    """A letter cannot be retried; the message says why."""


@dataclass(slots=True)
class Letter:
    """A record that could not be handled: where it came from and what its headers say, without its value."""

    letter_id: str
    topic: Topic[Any]
    partition: int
    offset: int
    type: str
    subject: str
    """What it is about: of most topics the request's ID."""
    key: str
    reason: str
    """As the first reader gave it."""
    at_ms: int
    size: int
    """Bytes of its value."""
    trace: str
    readers: list[str] = field(default_factory=list)
    """The consumer groups or services that could not handle it."""
    resolution: DeadLetterResolved | None = None


class Letters:
    """The dead letters of a cluster. Enter it to have its producer."""

    def __init__(self, settings: BusSettings) -> None:
        self._settings = settings
        self._producer = Producer(settings, OPERATOR)

    async def __aenter__(self) -> "Letters":
        await self._producer.start()
        return self

    async def __aexit__(self, *_raised: object) -> None:
        await self._producer.stop()

    async def find(self, topics: Collection[Topic[Any]], since_ms: int | None = None) -> list[Letter]:
        """All letters of some topics, done ones included, by topic, partition and offset.

        Args:
            since_ms: written at this time (epoch, ms) or later.

        Raises:
            KafkaError: the broker is away.
        """
        resolved = await self._resolved()
        found: dict[str, Letter] = {}
        async for raw in read_queues(self._settings, topics, since_ms=since_ms):
            letter = _letter(raw)
            if letter is None:
                continue
            known = found.setdefault(letter.letter_id, letter)
            known.readers += [reader for reader in letter.readers if reader not in known.readers]
            known.resolution = resolved.get(letter.letter_id)
        return sorted(found.values(), key=lambda letter: (letter.topic.name, letter.partition, letter.offset))

    async def retry(self, letter: Letter, by: str) -> bool:
        """Publishes the letter's record again, in its partition, with its key, value and headers, and marks it done.

        The record is taken from its topic and not from the queue: who can only write queues has nothing published.
        Whose letter it was stands in a header: sinks that had no trouble with it do not deliver it again.

        Returns:
            False: somebody has resolved it before, and nothing is done.

        Raises:
            LetterError: the log has let go of the record.
            KafkaError: the broker is away. What was published before may come again at the next try.
        """
        if await self._is_resolved(letter):
            return False
        raw = await read_one(self._settings, letter.topic, letter.partition, letter.offset)
        if raw is None:
            raise LetterError(f"{letter.letter_id} is not on the log any more: it can be dropped, and not retried")
        await settle([await self._producer.republish(raw, letter.readers)])
        await self._resolve(DeadLetterResolved(**_resolution(letter, by), action="retried"))
        return True

    async def drop(self, letter: Letter, by: str) -> bool:
        """Marks a letter done; the queue keeps it until its retention ends. Returns as `retry` does."""
        if await self._is_resolved(letter):
            return False
        await self._resolve(DeadLetterResolved(**_resolution(letter, by), action="dropped"))
        return True

    async def _resolve(self, resolution: DeadLetterResolved) -> None:
        await self._producer.publish_until_acknowledged(RESOLUTIONS, resolution)

    async def _is_resolved(self, letter: Letter) -> bool:
        return letter.resolution is not None or letter.letter_id in await self._resolved()

    async def _resolved(self) -> dict[str, DeadLetterResolved]:
        found: dict[str, DeadLetterResolved] = {}
        async for raw in read_to_end(self._settings, RESOLUTIONS):
            try:
                record = decode(raw).record
            except PoisonError:
                continue
            if isinstance(record, DeadLetterResolved):
                found[record.letter_id] = record
        return found


def counts(letters: Sequence[Letter]) -> list[tuple[str, str, int, int, int]]:
    """Topic, reason, how many, the oldest's and the newest's time (epoch, ms); the most first."""
    groups: dict[tuple[str, str], list[int]] = {}
    for letter in letters:
        groups.setdefault((letter.topic.name, letter.reason), []).append(letter.at_ms)
    rows = [(topic, reason, len(times), min(times), max(times)) for (topic, reason), times in groups.items()]
    return sorted(rows, key=lambda row: -row[2])


def _letter(raw: Raw) -> Letter | None:
    """None where the headers do not say which record it was."""
    # Of the queue's name and not of a header: who writes to one queue must not speak for another topic.
    topic = BY_NAME[raw.topic.removesuffix(".dlq")]
    position = [header(raw.headers, name) or "" for name in (names.DLQ_PARTITION, names.DLQ_OFFSET)]
    if not all(number.isascii() and number.isdigit() and len(number) <= 18 for number in position):
        return None
    partition, offset = map(int, position)
    return Letter(
        letter_id=f"{topic.name}/{partition}/{offset}",
        topic=topic,
        partition=partition,
        offset=offset,
        type=_text(raw, names.TYPE).removeprefix(names.TYPE_PREFIX),
        subject=_text(raw, names.SUBJECT),
        key=_plain((raw.key or b"").decode("utf-8", "replace")),
        reason=_text(raw, names.DLQ_REASON),
        at_ms=raw.timestamp,
        size=len(raw.value or b""),
        trace=_text(raw, names.TRACEPARENT)[3:35],
        readers=[_text(raw, names.DLQ_GROUP)],
    )


def _resolution(letter: Letter, by: str) -> dict[str, Any]:
    return {"letter_id": letter.letter_id, "resolved_by": _plain(by)[:200], "resolved_at_ms": now_ms()}


def _text(raw: Raw, name: str) -> str:
    return _plain(header(raw.headers, name) or "")


def _plain(text: str) -> str:
    """For a terminal: whoever wrote the record chose it."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:MOST_CHARACTERS])
