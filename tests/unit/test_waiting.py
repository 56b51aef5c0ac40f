"""The ingress's waiting clients: in order, without duplicates, and never for ever."""

import asyncio
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from contracts.record import Refusal, ReplyAddress
from contracts.replies import Outcome, Reply, ReplyChunk, ReplyEnded, ReplyStarted
from services.ingress.waiting import MOST_BUFFERED, OVERDUE, STALLED_ROUNDS, Replies, Waiting
from tests.unit.records import request_id

ID, INGRESS = request_id(1), ReplyAddress(partition=0, ingress_id="ingress-1")
STARTED = ReplyStarted(request_id=ID, reply_to=INGRESS)
TEXT = b"abcdefghijklmnop"


def _ended(size: int = 0) -> ReplyEnded:
    return ReplyEnded(request_id=ID, reply_to=INGRESS, outcome=Outcome.COMPLETED, size=size)


def _chunk(at: int, content: bytes = b"x") -> ReplyChunk:
    return ReplyChunk(request_id=ID, reply_to=INGRESS, at=at, content=content)


class _Log:
    """A log that is read again."""

    def __init__(self, *records: Reply) -> None:
        self.records = records
        self.reread_from: int | None = None

    def reread(self, waiting: Waiting, offset: int, at: int) -> Replies:
        """The whole of it, in order."""
        self.reread_from = offset
        rest = Waiting(waiting.request_id, waiting.reply_to, offset, _never)
        rest._sequence.end = at
        for number, record in enumerate(self.records[offset:], offset):
            rest.push(record, number)
        return rest


def _never(_waiting: Waiting, _offset: int, _at: int) -> Replies:
    raise AssertionError("nothing is read again")


async def _all(waiting: Replies) -> list[Reply]:
    records = []
    while True:
        record = await waiting.next()
        assert record is not None
        records.append(record)
        if isinstance(record, ReplyEnded):
            return records


def _text(records: list[Reply]) -> bytes:
    return b"".join(record.content for record in records if isinstance(record, ReplyChunk))


@given(st.lists(st.integers(0, 3), max_size=10))
def test_records_that_come_twice_are_dropped(again: list[int]) -> None:
    records: list[Reply] = [STARTED, *(_chunk(at) for at in range(3))]
    waiting = Waiting(ID, INGRESS, 0, _never)
    for index, record in enumerate(records):
        waiting.push(record, index)
        for earlier in again:
            waiting.push(records[min(earlier, index)], index)
    waiting.push(_ended(3), 4)
    waiting.push(_ended(3), 5)
    assert asyncio.run(_all(waiting)) == [*records, _ended(3)]
    assert waiting.answered


@given(st.lists(st.integers(1, len(TEXT) - 1), unique=True), st.data())
def test_whatever_comes_the_client_is_shown_the_whole(cuts: list[int], data: st.DataObject) -> None:
    """Records may come twice, in any order, cut elsewhere, or not at all: what is missing is read from the log."""
    ends = [0, *sorted(cuts), len(TEXT)]
    chunks = [_chunk(begin, TEXT[begin:end]) for begin, end in pairwise(ends)]
    log = _Log(STARTED, *chunks, _ended(len(TEXT)))
    come = data.draw(st.lists(st.sampled_from(list(enumerate(log.records))), max_size=12))
    waiting = Waiting(ID, INGRESS, 0, log.reread)
    for offset, record in come:
        waiting.push(record, offset)
    waiting.push(log.records[-1], len(log.records) - 1)
    assert _text(asyncio.run(_all(waiting))) == TEXT
    assert waiting.answered


def test_a_client_stalls_that_is_sent_something_and_asks_for_no_more() -> None:
    async def steps() -> list[bool]:
        waiting = Waiting(ID, INGRESS, 0, _never)
        records: list[Reply] = [STARTED, _chunk(0), _chunk(1)]
        for offset, record in enumerate(records):
            waiting.push(record, offset)
        found = []
        for _ in range(2):
            await waiting.next()
            found += [waiting.look(0) for _ in range(STALLED_ROUNDS)]
        # Once for each time.
        found += [waiting.look(0) for _ in range(3)]
        await waiting.next()
        # Who has read all there is waits, and does not stall.
        more = asyncio.create_task(waiting.next())
        await asyncio.sleep(0)
        found += [waiting.look(0) for _ in range(9)]
        waiting.push(_ended(2), 3)
        await more
        return found

    assert asyncio.run(steps()) == [*[False] * 6, True, *[False] * 11]


def test_who_reads_is_not_overdue_and_who_waits_for_nothing_is() -> None:
    async def steps() -> list[Reply | None]:
        waiting = Waiting(ID, INGRESS, 0, _never, due_s=5)
        records: list[Reply] = [STARTED, _chunk(0), _chunk(1)]
        for offset, record in enumerate(records):
            waiting.push(record, offset)
        found: list[Reply | None] = []
        for now_s in (4, 6, 8):
            # It may take the client long to read each of them.
            found.append(await waiting.next())
            waiting.look(now_s)
            waiting.look(now_s + 1)
        more = asyncio.create_task(waiting.next())
        await asyncio.sleep(0)
        waiting.look(9)
        assert not more.done()
        waiting.look(10)
        return [*found, await more]

    *read, last = asyncio.run(steps())
    assert read == [STARTED, _chunk(0), _chunk(1)]
    assert isinstance(last, ReplyEnded)
    assert last.refusal == OVERDUE


def test_another_ingress_s_replies_are_not_ours() -> None:
    waiting = Waiting(ID, INGRESS, 0, _never)
    waiting.push(_ended().model_copy(update={"reply_to": ReplyAddress(partition=0, ingress_id="ingress-2")}), 0)
    assert not waiting.answered


def test_a_client_that_reads_slowly_is_given_the_rest_from_the_log() -> None:
    log = _Log(STARTED, _chunk(0, b"x" * MOST_BUFFERED), _chunk(MOST_BUFFERED), _chunk(MOST_BUFFERED + 1), _ended())
    waiting = Waiting(ID, INGRESS, 0, log.reread)
    for offset, record in enumerate(log.records):
        waiting.push(record, offset)
    assert len(_text(asyncio.run(_all(waiting)))) == MOST_BUFFERED + 2
    assert log.reread_from == 3
    assert waiting.answered


def test_who_waits_while_the_partition_goes_reads_on_from_the_log() -> None:
    log = _Log(STARTED, _chunk(0, b"one"), _chunk(3, b"two"), _ended(6))

    async def main() -> list[Reply]:
        waiting = Waiting(ID, INGRESS, 0, log.reread)
        reading = asyncio.create_task(_all(waiting))
        for offset, record in enumerate(log.records[:2]):
            waiting.push(record, offset)
        await asyncio.sleep(0)
        waiting.read_again()
        return await reading

    assert _text(asyncio.run(main())) == b"onetwo"
    assert log.reread_from == 2


def test_giving_up_wakes_the_client_once() -> None:
    async def main() -> list[Reply]:
        waiting = Waiting(ID, INGRESS, 0, _never)
        reading = asyncio.create_task(_all(waiting))
        await asyncio.sleep(0)
        waiting.fail(Refusal(status=503, message="away"))
        waiting.fail(Refusal(status=504, message="late"))
        waiting.push(_ended(), 0)
        return await reading

    (ended,) = asyncio.run(main())
    assert isinstance(ended, ReplyEnded)
    assert ended.status == 503


def test_silence_is_noticed_where_nothing_comes_between_two_looks() -> None:
    async def main() -> list[Reply | None]:
        waiting = Waiting(ID, INGRESS, 0, _never)
        waiting.push(STARTED, 0)
        found = [await waiting.next()]
        waiting.note_silence()
        waiting.push(_chunk(0), 1)
        found.append(await waiting.next())
        waiting.note_silence()
        waiting.note_silence()
        waiting.note_silence()
        found.append(await waiting.next())
        return found

    assert asyncio.run(main()) == [STARTED, _chunk(0), None]


async def test_what_an_earlier_call_adds_after_another_goes_on_is_not_the_stream_s() -> None:
    """A relay that only stood still writes on, and ends what it takes for its stream: live, and read again."""
    taken = STARTED.model_copy(update={"call": 1, "relay_id": "relay-2"})
    mine: list[Reply] = [_chunk(2, b"CD").model_copy(update={"call": 1}), _ended(4).model_copy(update={"call": 1})]
    records: list[Reply] = [
        STARTED,
        _chunk(0, b"ab"),
        taken,
        _chunk(2, b"xyz"),
        _ended(5),
        mine[0],
        _chunk(4, b"!"),
        mine[1],
    ]
    live = Waiting(ID, INGRESS, 0, _never)
    for offset, record in enumerate(records):
        live.push(record, offset)
    assert _text(await _all(live)) == b"abCD"
    log = _Log(*records)
    missed = Waiting(ID, INGRESS, 0, log.reread)
    missed.push(STARTED, 0)
    missed.push(mine[0], 5)
    assert _text(await _all(missed)) == b"abCD"
