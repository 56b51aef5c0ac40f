"""A stream's way onto a log that is slow, or away for a while."""

import asyncio

import pytest
from aiokafka.errors import KafkaTimeoutError

from contracts.record import Lasting, Record, ReplyAddress
from contracts.replies import STREAM_WINDOW, ReplyChunk, ReplyStarted
from contracts.usage import TokenUsage
from libs.bus.producer import Acknowledgement
from libs.chat.continuing.chat import CutChat
from services.relay import reply_stream as module
from services.relay.beat import Beat
from services.relay.core.continuation import Continuation
from services.relay.reply_stream import MOST_BUFFERED, ReplyStream
from tests.unit.bus import SilentLog
from tests.unit.records import accepted


async def test_a_stream_that_is_cancelled_while_it_closes_can_still_be_closed() -> None:
    """Its client left just then: without the number of its chunks nobody would be told how it ended."""
    log = SilentLog()
    stream = ReplyStream(log, Beat(), accepted(), [], "")
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
    assert [(record.at, record.content) for record in _chunks(log)] == [(0, b"one"), (3, b"two")]
    assert stream.size == 6


async def test_a_stream_that_is_full_drains_as_the_log_takes_it() -> None:
    log = SilentLog()
    stream = ReplyStream(log, Beat(), accepted(), [], "")
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


async def test_nothing_is_written_for_a_client_that_does_not_read() -> None:
    """300 readers that did not read cost the relay 418 MiB and the broker 529."""
    log = SilentLog()
    stream = ReplyStream(log, Beat(), accepted(), [], "")
    stream.write("x" * STREAM_WINDOW)
    await log.has_taken(2)
    log.confirm()
    assert stream.unread
    while not stream.full:
        stream.write("y" * 1_000)
    draining = asyncio.create_task(stream.drain())
    for _ in range(10):
        await asyncio.sleep(0)
    assert (draining.done(), len(log.taken)) == (False, 2)
    # Old news, and then new.
    stream.read(0)
    stream.read(STREAM_WINDOW // 2)
    await log.has_taken(3)
    await draining
    written = sum(len(record.content) for record in _chunks(log))
    assert written <= STREAM_WINDOW + MOST_BUFFERED + 1_000


async def test_who_reads_while_a_chunk_is_under_way_gets_the_next() -> None:
    log = SilentLog()
    stream = ReplyStream(log, Beat(), accepted(), [], "")
    stream.write("x" * STREAM_WINDOW)
    await log.has_taken(2)
    stream.write("next")
    stream.read(STREAM_WINDOW)
    log.confirm()
    await log.has_taken(3)
    assert len(_chunks(log)) == 2


async def test_streams_share_a_beat() -> None:
    log, beat = SilentLog(), Beat(every_s=60)
    streams = [ReplyStream(log, beat, accepted(number), [], "") for number in (1, 2)]
    for stream in streams:
        stream.write("first")
    await log.has_taken(4)
    log.confirm()
    await asyncio.sleep(0)
    for text in ("one", "two"):
        for stream in streams:
            stream.write(text)
            for _ in range(5):
                await asyncio.sleep(0)
    beaten = [(chunk.request_id, chunk.content) for chunk in _chunks(log)[2:]]
    assert beaten == [(accepted(1).request_id, b"one")]
    log.confirm()
    for stream in streams:
        closing = asyncio.create_task(stream.close())
        while not closing.done():
            await asyncio.sleep(0)
            log.confirm()
    assert sorted(chunk.content for chunk in _chunks(log)[3:]) == [b"onetwo", b"two"]


async def test_a_stream_closes_whether_or_not_its_client_reads() -> None:
    log = SilentLog()
    stream = ReplyStream(log, Beat(), accepted(), [], "")
    stream.write("x" * STREAM_WINDOW)
    await log.has_taken(2)
    log.confirm()
    stream.write("the end")
    closing = asyncio.create_task(stream.close())
    await log.has_taken(3)
    log.confirm()
    await closing
    assert len(_chunks(log)) == 2


async def test_a_stream_that_need_not_be_read_goes_on() -> None:
    log = SilentLog()
    address = ReplyAddress(partition=0, ingress_id="ingress-1", lasting=Lasting.ANSWER)
    stream = ReplyStream(log, Beat(), accepted(reply_to=address), [], "")
    stream.write("x" * STREAM_WINDOW)
    await log.has_taken(2)
    log.confirm()
    stream.write("y" * STREAM_WINDOW)
    await log.has_taken(3)
    assert not stream.unread


@pytest.mark.parametrize("has_room", [True, False])
async def test_what_comes_in_one_turn_goes_together_and_in_order(has_room: bool) -> None:
    log = SilentLog()
    log.has_room = has_room
    stream = ReplyStream(log, Beat(), accepted(), [], "")
    stream.write(b"one ")
    stream.write(b"two ")
    await log.has_taken(2)
    for text in (b"three ", b"four "):
        stream.write(text)
        await asyncio.sleep(0)
    log.confirm()
    await log.has_taken(3)
    log.confirm()
    await stream.close()
    stream.write(b"five")
    await log.has_taken(4)
    assert [(chunk.at, chunk.content) for chunk in _chunks(log)] == [
        (0, b"one two "),
        (8, b"three four "),
        (19, b"five"),
    ]


@pytest.mark.parametrize("has_room", [True, False])
async def test_a_record_that_the_log_refuses_comes_again_before_the_next(
    has_room: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0)
    log = SilentLog()
    log.has_room = has_room
    stream = ReplyStream(log, Beat(), accepted(), [], "")
    stream.write(b"one ")
    await log.has_taken(2)
    log.refuse(KafkaTimeoutError())
    stream.write(b"two ")
    await log.has_taken(4)
    log.confirm()
    await log.has_taken(5)
    closing = asyncio.create_task(stream.close())
    await asyncio.sleep(0)
    log.refuse(KafkaTimeoutError())
    await log.has_taken(6)
    assert not closing.done()
    log.confirm()
    await closing
    assert [type(record) for record in log.taken[:4]] == [ReplyStarted, ReplyChunk] * 2
    assert [(chunk.at, chunk.content) for chunk in _chunks(log)] == [(0, b"one ")] * 2 + [(4, b"two ")] * 2


@pytest.mark.parametrize("first", [True, False])
async def test_what_cannot_be_published_at_all_ends_the_stream(first: bool) -> None:
    class Forbidden(SilentLog):
        forbids = first

        def _take(self, record: Record) -> Acknowledgement:
            if self.forbids:
                raise PermissionError
            return super()._take(record)

    log = Forbidden()
    stream = ReplyStream(log, Beat(), accepted(), [], "")
    stream.write(b"one")
    if not first:
        await log.has_taken(2)
        log.confirm()
        log.forbids = True
        stream.write(b"two")
    for _ in range(2):
        with pytest.raises(PermissionError):
            await stream.close()


def _chunks(log: SilentLog) -> list[ReplyChunk]:
    return [record for record in log.taken if isinstance(record, ReplyChunk)]


async def test_a_stream_that_goes_on_has_begun_and_has_room() -> None:
    """Its client may have read all of what is there, and say so no more."""
    log = SilentLog()
    goes_on = Continuation(CutChat(), "prefill", 10 * STREAM_WINDOW, "", 2, ["a=503"], 70, TokenUsage(), None)
    stream = ReplyStream(log, Beat(), accepted(), [], "", goes_on=goes_on)
    assert (stream.started, stream.unread, stream.tried, stream.upstream_ms) == (True, False, ["a=503"], 70)
    stream.note_first_byte(5)
    stream.write(b"more")
    await log.has_taken(1)
    assert [(record.at, record.call) for record in _chunks(log)] == [(10 * STREAM_WINDOW, 2)]
    assert stream.upstream_ms == 70
    log.confirm()
    await stream.close()
