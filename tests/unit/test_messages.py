"""Fetch and produce requests as bytes: the same as aiokafka's schemas make and read of them."""

import struct
from collections.abc import Mapping

import pytest
from aiokafka import TopicPartition
from aiokafka.protocol.fetch import FetchRequest_v11, FetchResponse_v11
from aiokafka.protocol.produce import ProduceRequest_v7, ProduceResponse_v7
from hypothesis import given
from hypothesis import strategies as st

from libs.bus.fetch_session import Asked
from libs.bus.messages import (
    FETCH,
    PRODUCE,
    Bounds,
    Part,
    Written,
    decode_fetched,
    decode_written,
    encode_fetch,
    encode_produce,
)

TOPICS = st.sampled_from(["gateway.requests.v1", "t", "gateway.routes.v1"])
NUMBERS = st.integers(0, 63)
PARTITIONS = st.builds(TopicPartition, TOPICS, NUMBERS)
OFFSETS = st.integers(0, 2**62)
ERRORS = st.sampled_from([0, 1, 3, 6, 29])
CORRELATION = b"\x00\x00\x00\x09"


def by_topic(entries: Mapping[TopicPartition, tuple[object, ...]]) -> list[tuple[str, list[tuple[object, ...]]]]:
    found: dict[str, list[tuple[object, ...]]] = {}
    for partition, entry in entries.items():
        found.setdefault(partition.topic, []).append((partition.partition, *entry))
    return list(found.items())


@given(st.dictionaries(PARTITIONS, OFFSETS), st.sets(PARTITIONS), OFFSETS.map(lambda one: one % 2**31))
def test_a_fetch(positions: dict[TopicPartition, int], forgotten: set[TopicPartition], session_id: int) -> None:
    lost = list(forgotten)
    encoded = encode_fetch(Asked(session_id, 3, positions, lost), Bounds(500, 2_000, 1_000))
    theirs = FetchRequest_v11(
        -1,
        500,
        1,
        2_000,
        0,
        session_id,
        3,
        by_topic({one: (-1, offset, -1, 1_000) for one, offset in positions.items()}),
        [(topic, [number for (number,) in entries]) for topic, entries in by_topic(dict.fromkeys(lost, ()))],
        "",
    )
    assert (FETCH.key, FETCH.version) == (theirs.API_KEY, theirs.API_VERSION)
    assert encoded == theirs.encode()


Fetched = dict[TopicPartition, tuple[int, int, list[tuple[int, int]], bytes]]
FETCHED = st.dictionaries(
    PARTITIONS,
    st.tuples(ERRORS, OFFSETS, st.lists(st.tuples(OFFSETS, OFFSETS), max_size=2), st.binary(max_size=50)),
)


@given(FETCHED, ERRORS, st.booleans())
def test_what_was_fetched(fetched: Fetched, error: int, null: bool) -> None:
    parts = {
        partition: (code, end, end, 0, aborted or (None if null else []), -1, records or (None if null else b""))
        for partition, (code, end, aborted, records) in fetched.items()
    }
    frame = CORRELATION + FetchResponse_v11(0, error, 77, by_topic(parts)).encode()
    answer = decode_fetched(frame)
    assert (answer.error_code, answer.session_id) == (error, 77)
    assert sorted(answer.parts) == sorted(
        Part(partition, code, end, records) for partition, (code, end, _, records) in fetched.items()
    )


@given(FETCHED.filter(bool), st.data())
def test_what_is_cut_off_is_not_read(fetched: Fetched, data: st.DataObject) -> None:
    parts = {one: (code, end, end, 0, aborted, -1, records) for one, (code, end, aborted, records) in fetched.items()}
    frame = CORRELATION + FetchResponse_v11(0, 0, 77, by_topic(parts)).encode()
    with pytest.raises((struct.error, ValueError)):
        decode_fetched(frame[: data.draw(st.integers(0, len(frame) - 1))])


@given(st.dictionaries(PARTITIONS, st.binary(max_size=50)), st.sampled_from([-1, 1]))
def test_a_produce_request(batches: dict[TopicPartition, bytes], acks: int) -> None:
    theirs = ProduceRequest_v7(None, acks, 20_000, by_topic({one: (batch,) for one, batch in batches.items()}))
    assert (PRODUCE.key, PRODUCE.version) == (theirs.API_KEY, theirs.API_VERSION)
    assert encode_produce(batches.items(), acks=acks, within_ms=20_000) == theirs.encode()


@given(st.dictionaries(PARTITIONS, st.tuples(ERRORS, OFFSETS, OFFSETS, OFFSETS)))
def test_what_was_written(written: dict[TopicPartition, tuple[int, int, int, int]]) -> None:
    frame = CORRELATION + ProduceResponse_v7(by_topic(written), 0).encode()
    assert sorted(decode_written(frame)) == sorted(Written(one, *entry) for one, entry in written.items())
