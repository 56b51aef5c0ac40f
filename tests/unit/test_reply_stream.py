"""A stream's way onto a log that is slow, or away for a while."""

import asyncio

from contracts.replies import ReplyChunk
from services.relay.reply_stream import MOST_BUFFERED, ReplyStream
from tests.unit.bus import SilentLog
from tests.unit.records import accepted


async def test_a_stream_that_is_cancelled_while_it_closes_can_still_be_closed() -> None:
    """Its client left just then: without the number of its chunks nobody would be told how it ended."""
    log = SilentLog()
    stream = ReplyStream(log, accepted(), [], "")
    stream.write("one")
    await log.has_taken(2)
    stream.write("two")
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


async def test_a_stream_that_is_full_drains_as_the_log_takes_it() -> None:
    log = SilentLog()
    stream = ReplyStream(log, accepted(), [], "")
    stream.write("one")
    await log.has_taken(2)
    stream.write("x" * (MOST_BUFFERED - 1))
    assert not stream.full
    stream.write("x")
    assert stream.full
    draining = asyncio.create_task(stream.drain())
    await asyncio.sleep(0)
    assert not draining.done()
    log.confirm()
    await draining
    assert not stream.full
