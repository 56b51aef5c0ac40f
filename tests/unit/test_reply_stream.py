"""A stream's way onto a log that is slow, or away for a while."""

import asyncio
from typing import Any

from contracts.record import Record
from contracts.replies import ReplyChunk
from libs.bus.producer import Acknowledgement, Producer
from services.relay.reply_stream import ReplyStream
from tests.unit.records import accepted


class SilentLog(Producer):
    """Takes records, and confirms them only when it is told to."""

    def __init__(self) -> None:
        self.taken: list[Record] = []
        self._unconfirmed: list[Acknowledgement] = []

    async def send(self, topic: Any, record: Record, **_about: Any) -> Acknowledgement:
        self.taken.append(record)
        self._unconfirmed.append(asyncio.get_running_loop().create_future())
        return self._unconfirmed[-1]

    async def has_taken(self, count: int) -> None:
        """Returns once it has as many records."""
        while len(self.taken) < count:
            await asyncio.sleep(0)

    def confirm(self) -> None:
        """What it has, it has."""
        for acknowledgement in self._unconfirmed:
            acknowledgement.set_result(None)
        self._unconfirmed = []


async def test_a_stream_that_is_cancelled_while_it_closes_can_still_be_closed() -> None:
    """Its client left just then: without the number of its chunks nobody would be told how it ended."""
    log = SilentLog()
    stream = ReplyStream(log, accepted(), [], "")
    await stream.write("one")
    await log.has_taken(2)
    await stream.write("two")
    closing = asyncio.create_task(stream.close())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait({closing})
    assert closing.cancelled()
    log.confirm()
    again = asyncio.create_task(stream.close())
    await log.has_taken(3)
    log.confirm()
    await again
    assert [record.data for record in log.taken if isinstance(record, ReplyChunk)] == ["one", "two"]
    assert stream.chunks == 2
