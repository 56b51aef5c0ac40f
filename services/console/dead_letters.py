"""Dead letters in the console: `libs.bus.letters` with the credentials of `contracts.services.OPERATOR` (ADR 38)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka.errors import KafkaError

from contracts.services import OPERATOR
from contracts.topics import BY_NAME
from libs.bus.letters import Letter, LetterError, Letters
from libs.bus.settings import BusSettings
from services.console.errors import Away, BadInput, Conflict, NotFound

WITHIN_S = 20.0
MOST_AT_ONCE = 2
"""Each reads whole queues, and holds a connection to the database meanwhile."""
_NO_CREDENTIALS = (
    "the console has no credentials of the operator for Kafka (SLUICE_CONSOLE_OPERATOR_KAFKA_USERNAME), and its own "
    "may not read dead letters; use `./sluice dlq`"
)


class DeadLetterQueues:
    """Found, retried and dropped, for the operator. Nothing is read before somebody asks."""

    def __init__(self, bus: BusSettings, username: str | None, password: str | None) -> None:
        """
        Args:
            username: of the operator at the brokers. None: where the brokers ask nobody who he is, the console's own
                connection will do; else dead letters are not for the console.
        """
        asks = bus.sasl_mechanism is not None or bus.ssl_certificate is not None
        self._bus = bus.model_copy(update={"sasl_username": username, "sasl_password": password}) if username else bus
        self._may = username is not None or not asks
        self._reading = 0

    async def find(self, topic: str | None, since_ms: int | None) -> list[Letter]:
        """Letters of a topic, or of all, newest first; done ones included.

        Raises:
            BadInput: no such topic.
            Away: the broker does not answer, or others look now; or the console may not.
        """
        if topic is not None and topic not in BY_NAME:
            raise BadInput(f"there is no topic {topic[:100]!r}")
        topics = list(OPERATOR.republishes) if topic is None else [BY_NAME[topic]]
        async with self._open() as letters:
            found = await letters.find(topics, since_ms)
        return sorted(found, key=lambda letter: (letter.at_ms, letter.letter_id), reverse=True)

    async def get(self, letter_id: str) -> Letter:
        """One letter. Raises NotFound, or as `find` does."""
        async with self._open() as letters:
            return await _one(letters, letter_id)

    async def retry(self, letter_id: str, by: str) -> bool:
        """Publishes its record again, as `Letters.retry` does. Raises Conflict where the log has let go of it."""
        async with self._open() as letters:
            try:
                return await letters.retry(await _one(letters, letter_id), by)
            except LetterError as error:
                raise Conflict(str(error)) from None

    async def drop(self, letter_id: str, by: str) -> bool:
        """Marks it done."""
        async with self._open() as letters:
            return await letters.drop(await _one(letters, letter_id), by)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Letters]:
        if not self._may:
            raise Away(_NO_CREDENTIALS)
        if self._reading >= MOST_AT_ONCE:
            raise Away("others look at dead letters now; try again in a moment")
        self._reading += 1
        try:
            async with asyncio.timeout(WITHIN_S), Letters(self._bus) as letters:
                yield letters
        except (KafkaError, TimeoutError):
            raise Away("the broker does not answer; try again in a moment") from None
        finally:
            self._reading -= 1


async def _one(letters: Letters, letter_id: str) -> Letter:
    topic = BY_NAME.get(letter_id.partition("/")[0])
    for letter in await letters.find([topic]) if topic else ():
        if letter.letter_id == letter_id:
            return letter
    raise NotFound(f"there is no dead letter {letter_id[:200]!r}")
