"""The ingress's waiting clients: in order, without duplicates, and never for ever."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from contracts.record import Refusal, ReplyAddress
from contracts.replies import Outcome, Reply, ReplyChunk, ReplyEnded, ReplyStarted
from services.ingress.waiting import MOST_BUFFERED, Waiting
from tests.unit.records import request_id

ID, INGRESS = request_id(1), ReplyAddress(partition=0, ingress_id="ingress-1")
STARTED = ReplyStarted(request_id=ID, reply_to=INGRESS)
ENDED = ReplyEnded(request_id=ID, reply_to=INGRESS, outcome=Outcome.COMPLETED)


def _chunk(seq: int, data: str = "x") -> ReplyChunk:
    return ReplyChunk(request_id=ID, reply_to=INGRESS, seq=seq, data=data)


async def _all(waiting: Waiting) -> list[Reply]:
    records = []
    while True:
        record = await waiting.next()
        records.append(record)
        if isinstance(record, ReplyEnded):
            return records


@given(st.lists(st.integers(0, 3), max_size=10))
def test_records_that_are_told_again_are_dropped(again: list[int]) -> None:
    told: list[Reply] = [STARTED, *(_chunk(seq) for seq in range(3))]
    waiting = Waiting(ID, INGRESS)
    for index, record in enumerate(told):
        waiting.push(record)
        for earlier in again:
            waiting.push(told[min(earlier, index)])
    waiting.push(ENDED)
    waiting.push(ENDED)
    assert asyncio.run(_all(waiting)) == [*told, ENDED]
    assert waiting.answered


def test_another_ingress_s_replies_are_not_ours() -> None:
    waiting = Waiting(ID, INGRESS)
    waiting.push(ENDED.model_copy(update={"reply_to": ReplyAddress(partition=0, ingress_id="ingress-2")}))
    assert not waiting.answered


def test_a_client_that_reads_too_slowly_is_given_up() -> None:
    waiting = Waiting(ID, INGRESS)
    waiting.push(STARTED)
    waiting.push(_chunk(0, "x" * MOST_BUFFERED))
    waiting.push(_chunk(1))
    last = asyncio.run(_all(waiting))[-1]
    assert isinstance(last, ReplyEnded)
    assert last.refusal is not None
    assert not waiting.answered


def test_giving_up_wakes_the_client_once() -> None:
    async def main() -> list[Reply]:
        waiting = Waiting(ID, INGRESS)
        reading = asyncio.create_task(_all(waiting))
        await asyncio.sleep(0)
        waiting.fail(Refusal(status=503, message="away"))
        waiting.fail(Refusal(status=504, message="late"))
        waiting.push(ENDED)
        return await reading

    (ended,) = asyncio.run(main())
    assert isinstance(ended, ReplyEnded)
    assert ended.status == 503
