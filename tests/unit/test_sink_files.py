"""Files of sinks: whatever is killed, cut otherwise, begun anew or backfilled, each record is in one of them, once."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from contracts.record import Record
from contracts.topics import CHARGES
from libs.bus.processor import RetryLater, Work
from libs.bus.records import Received
from libs.config.sinks import FilesSink
from services.sinks.core.events import event_of
from services.sinks.core.files import MOST_SPAN, Row, Slot, Span, begins_after, parsed, span_of
from services.sinks.core.s3 import Access, list_query, page_of, path_of, signed
from services.sinks.gathering import GatheringProcessor
from services.sinks.kit import sample
from services.sinks.opening import Opening
from services.sinks.processor import Tally
from services.sinks.sink import UnavailableError
from tests.receivers import ids_in
from tests.unit.records import NOW_MS, posted

LENGTH = 40
PARTITION = TopicPartition(CHARGES.name, 3)
CHARGES_POSTED = [posted(number) for number in range(LENGTH)]
offsets = st.integers(0, 10**12)
times = st.integers(10**12, 10**13 - 1)


class MemoryStore:
    """Files in memory; it may be away."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.away = False

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def put(self, name: str, content: bytes) -> None:
        self._check()
        self.files[name] = content

    async def names(self, folder: str, after: str = "") -> Sequence[str]:
        self._check()
        return sorted(name for name in self.files if name.startswith(folder) and name > folder + after)

    async def delete(self, name: str) -> None:
        self._check()
        self.files.pop(name, None)

    def _check(self) -> None:
        if self.away:
            raise UnavailableError("away")

    @property
    def ids(self) -> Counter[str]:
        """How often each event is in a file."""
        return Counter(found for content in self.files.values() for found in ids_in(content))


def _config(**given_: Any) -> FilesSink:
    return FilesSink(kind="files", path="/nowhere", **given_)


def _member(store: MemoryStore, begin: int, **config: Any) -> tuple[GatheringProcessor, Work]:
    work = Work(cast("Any", None), {PARTITION: begin})
    opening, folders = Opening("sinks.lake"), {CHARGES: "charges"}
    return GatheringProcessor(store, _config(**config), opening, folders, work, Tally("lake")), work


def _received(offset: int) -> Received[Record]:
    return Received(CHARGES_POSTED[offset], CHARGES, PARTITION.partition, offset, NOW_MS + offset, "")


async def _give(processor: GatheringProcessor, work: Work, begin: int, end: int) -> None:
    await processor.process([_received(offset) for offset in range(begin, end)])
    work.passed([(PARTITION, end - 1)])


@given(offsets, offsets, times, times, st.none() | st.dates(), st.integers(0, 99_999))
def test_a_name_says_all_of_its_span(
    first: int, last: int, from_ms: int, to_ms: int, until: date | None, partition: int
) -> None:
    span = Span(Slot("contents/org_1", partition, until), first, last, from_ms, to_ms)
    assert parsed(span.name) == span


@pytest.mark.parametrize("name", ["", "charges/notes.txt", "charges/partition-003/1-2.parquet", "../x.parquet"])
def test_other_files_are_none_of_ours(name: str) -> None:
    assert parsed(name) is None


@given(offsets, st.integers(0, MOST_SPAN - 1), st.integers(0, MOST_SPAN))
def test_no_file_with_an_offset_is_left_out_of_a_list(offset: int, before: int, length: int) -> None:
    span = Span(Slot("charges", 3), max(0, offset - before), offset + length, NOW_MS, NOW_MS)
    assert span.name.rpartition("/")[2] > begins_after(offset)


def test_records_of_a_log_that_was_made_anew_are_not_taken_for_those_of_the_former_one() -> None:
    slot, event = Slot("charges", 3), event_of(posted(1), NOW_MS)
    span = span_of(slot, [Row(event, 3, 7)])
    assert span.has(slot, Row(event, 3, 7))
    assert not span.has(slot, Row(event_of(posted(2), NOW_MS + 1), 3, 7))


@given(
    st.lists(
        st.tuples(
            st.integers(1, 12),  # records that come
            st.sampled_from(["goes on", "is written", "is killed", "is begun anew", "loses the store"]),
            st.integers(0, LENGTH),  # where a new group begins
        ),
        max_size=12,
    )
)
def test_each_record_is_in_one_file_once(steps: list[tuple[int, str, int]]) -> None:
    asyncio.run(_live(steps))


async def _live(steps: list[tuple[int, str, int]]) -> None:
    store, position = MemoryStore(), 0
    processor, work = _member(store, 0, most_rows=7)
    for count, what, anew in steps:
        end = min(LENGTH, position + count)
        await _give(processor, work, position, end)
        position = end
        if what == "is written":
            await processor.hand_over()
        elif what == "is killed":
            position = work.committable()[PARTITION]
            processor, work = _member(store, position, most_rows=7)
        elif what == "is begun anew":
            position = min(anew, work.committable()[PARTITION])
            processor, work = _member(store, position, most_rows=7)
        elif what == "loses the store":
            store.away = True
            await processor.hand_over()
            store.away = False
            processor._not_before_s = 0.0
    await _give(processor, work, position, LENGTH)
    await processor.hand_over()
    assert work.committable()[PARTITION] == LENGTH
    assert store.ids == Counter(event_of(charge, 0).id for charge in CHARGES_POSTED)


async def test_nothing_is_committed_before_its_file_is_there_and_nothing_more_is_taken_than_may_be() -> None:
    store = MemoryStore()
    processor, work = _member(store, 0, most_rows=5)
    await _give(processor, work, 0, 5)
    assert work.committable()[PARTITION] == 0
    store.away = True
    with pytest.raises(RetryLater):
        await processor.process([_received(5)])
    with pytest.raises(RetryLater):
        await processor.process([_received(5)])
    store.away, processor._not_before_s = False, 0.0
    await _give(processor, work, 5, 6)
    assert work.committable()[PARTITION] == 5
    assert sum(store.ids.values()) == 5


async def test_files_are_deleted_when_their_day_has_come() -> None:
    store = MemoryStore()
    processor, work = _member(store, 0, keep_days=30)
    await _give(processor, work, 0, 3)
    await processor.hand_over()
    (kept,) = store.files
    old = Span(Slot("charges", 3, date(2020, 1, 1)), 0, 5, NOW_MS, NOW_MS).name
    store.files |= {old: b"", "charges/notes.txt": b""}
    await processor.tick()
    # The clock of tests stands in the future of NOW_MS by less than the thirty days, or not.
    assert old not in store.files and "charges/notes.txt" in store.files
    assert "_until-" in kept


def test_s3_pages_are_read_without_a_parser() -> None:
    body = b"<X><Contents><Key>a&amp;b</Key></Contents><NextContinuationToken>t/1==</NextContinuationToken></X>"
    page = page_of(body)
    assert (page.keys, page.token) == (["a&b"], "t/1==")
    assert page_of(b"<X/>") == page_of(b"\xff")
    assert (
        path_of("b", query=list_query("p/", "p/1", None)) == "/b?list-type=2&max-keys=200&prefix=p%2F&start-after=p%2F1"
    )


def test_an_s3_request_is_signed_and_its_secret_is_nowhere() -> None:
    access = Access("AKIATEST", "hunter2", "eu-central-1")
    headers = signed(access, "PUT", "https://s3.example.com/bucket/key", b"content")
    assert "AKIATEST" in headers["Authorization"] and "/eu-central-1/s3/aws4_request" in headers["Authorization"]
    assert "hunter2" not in f"{headers}{access!r}"


def test_a_sample_s_row_survives_its_file() -> None:
    from services.sinks.core.files import table_of

    rows = [Row(sample(number), 3, number) for number in range(3)]
    assert ids_in(table_of(rows)) == [row.event.id for row in rows]
