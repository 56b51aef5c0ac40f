"""Batches: which records count, whatever two ingresses write at once, and what lines are."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.batches import (
    BatchAdvanced,
    BatchCancelled,
    BatchCreated,
    BatchEnded,
    BatchEvent,
    BatchLeased,
    Ended,
    FileDeleted,
    FileStored,
    Part,
)
from contracts.requests import Surface
from libs.batches.index import LEAST_HELD, BatchIndex
from libs.endpoints.forms import FormReader
from libs.endpoints.multipart import FormError, encoded
from libs.endpoints.multipart import Part as FormPart
from libs.sealing.hybrid import SealError
from libs.sealing.named import BATCH, FILE, Named
from services.ingress.core.batch_objects import batch_object, metadata_of, page_of
from services.ingress.core.errors import BadRequest
from services.ingress.core.lines import LineCutter, LineError, Reason, answered, line_of, lines_of, not_answered
from services.ingress.core.repeating import MOST_S, MOST_TRIES, again_after_s

DAY_MS = 24 * 3600 * 1000
OWNER, RUNNERS = "acct:a", ("one", "two")
BATCH_AT, IN, OUT, ERR = (f"{number:032x}" for number in range(4))
URL = "/v1/chat/completions"


def _part(lines: int = 1, number: int = 0) -> Part:
    return Part(partition=0, offset=0, number=number, lines=lines, size=lines * 10, sealed_bytes=lines * 5)


def _created(lines: int = 6, locator: str = BATCH_AT, owner: str = OWNER, at_ms: int = 0) -> BatchCreated:
    return BatchCreated(
        locator=locator,
        owner=owner,
        key_fingerprint="f",
        listed="",
        about="",
        created_at_ms=at_ms,
        expires_at_ms=at_ms + 30 * DAY_MS,
        input_locator=IN,
        output_locator=OUT,
        error_locator=ERR,
        output_listed="",
        error_listed="",
        output_about="",
        error_about="",
        lines=lines,
        partition=0,
        offset=0,
        due_at_ms=at_ms + DAY_MS,
    )


def _leased(runner: str, at_ms: int, for_ms: int = 10, locator: str = BATCH_AT, owner: str = OWNER) -> BatchLeased:
    return BatchLeased(locator=locator, owner=owner, runner=runner, at_ms=at_ms, until_ms=at_ms + for_ms)


def _advanced(since: int, done: int, at_ms: int = 1) -> BatchAdvanced:
    part = _part(done - since) if done > since else None
    return BatchAdvanced(
        locator=BATCH_AT,
        owner=OWNER,
        since=since,
        done=done,
        completed=max(0, done - since),
        failed=0,
        output=part,
        at_ms=at_ms,
    )


def _index(*events: BatchEvent) -> BatchIndex:
    index = BatchIndex(30 * DAY_MS)
    for event in events:
        index.apply(event)
    return index


written: st.SearchStrategy[list[BatchEvent]] = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 6), st.integers(0, 6)).map(lambda one: _advanced(min(one), max(one))),
        st.tuples(st.sampled_from(RUNNERS), st.integers(0, 50)).map(lambda one: _leased(*one)),
        st.just(BatchCancelled(locator=BATCH_AT, owner=OWNER, at_ms=5)),
        st.sampled_from(Ended).map(lambda status: BatchEnded(locator=BATCH_AT, owner=OWNER, status=status, at_ms=9)),
    ),
    max_size=40,
)


@given(written)
def test_whatever_is_written_each_line_is_taken_once(events: list[BatchEvent]) -> None:
    index = _index(_created(6), *events)
    batch = index.batch(OWNER, BATCH_AT, 1)
    assert batch is not None
    assert sum(part.lines for part in batch.output) == batch.done == batch.completed <= 6
    first = next((event for event in events if isinstance(event, BatchEnded)), None)
    assert batch.ended is first
    assert (index.free("three", 10**6, ()) is None) == (first is not None)
    # Its output is a file once it has ended, with all that was done by then.
    output = index.file(OWNER, OUT, 1)
    assert (output.lines if output else 0) == (batch.done if first else 0)


def test_a_batch_is_one_ingress_s_until_its_lease_ends() -> None:
    index = _index(_created(), _leased("one", 0), _leased("two", 9))
    batch = index.batch(OWNER, BATCH_AT, 1)
    assert batch is not None
    assert batch.is_runner("one")
    assert index.free("two", 9, ()) is None
    assert index.free("one", 9, ()) is batch
    assert index.free("two", 10, ()) is batch
    assert index.free("two", 10, {OWNER}) is None
    assert index.by_status() == {"validating": 1, "in_progress": 0, "finalizing": 0, "cancelling": 0}
    index.apply(_leased("two", 10))
    assert batch.is_runner("two")
    index.apply(_leased("one", 11))
    assert batch.is_runner("two")


def test_the_status_is_openai_s() -> None:
    index = _index(_created(2))
    batch = index.batch(OWNER, BATCH_AT, 1)
    assert batch is not None
    seen = [batch.status]
    for event in (_advanced(0, 0), _advanced(0, 2), BatchCancelled(locator=BATCH_AT, owner=OWNER, at_ms=3)):
        index.apply(event)
        seen.append(batch.status)
    assert seen == ["validating", "in_progress", "finalizing", "cancelling"]
    assert index.by_status()["cancelling"] == 1
    index.apply(BatchEnded(locator=BATCH_AT, owner=OWNER, status=Ended.CANCELLED, at_ms=4000))
    assert not any(index.by_status().values())
    about = {"endpoint": URL, "input_file_id": "i", "output_file_id": "o", "error_file_id": "e", "metadata": None}
    shown = batch_object("b", batch, about)
    assert (shown["status"], shown["cancelled_at"], shown["output_file_id"], shown["error_file_id"]) == (
        "cancelled",
        4,
        "o",
        None,
    )
    assert shown["request_counts"] == {"total": 2, "completed": 2, "failed": 0}


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=20))
def test_deleted_files_count_until_the_log_lets_go_of_them(made: list[tuple[int, bool]]) -> None:
    index = BatchIndex(1000)
    for number, (parts, deleted) in enumerate(made):
        locator = f"{number + 9:032x}"
        stored = FileStored(
            locator=locator,
            owner=OWNER,
            key_fingerprint="f",
            listed="",
            about="",
            parts=[_part(100_000, at) for at in range(parts)],
            created_at_ms=number,
            expires_at_ms=number + 1000,
        )
        index.apply(stored)
        if deleted:
            index.apply(FileDeleted(locator=locator, owner=OWNER))
    assert index.sealed_bytes(OWNER) == sum(max(LEAST_HELD, parts * 500_000) for parts, _ in made)
    assert len(index.files(OWNER)) == sum(not deleted for _, deleted in made)
    index.expire(10_000)
    assert (index.sealed_bytes(OWNER), index.files(OWNER)) == (0, [])


def test_no_other_owner_finds_a_file_or_a_batch() -> None:
    index = _index(
        _created(1), _advanced(0, 1), BatchEnded(locator=BATCH_AT, owner=OWNER, status=Ended.COMPLETED, at_ms=4)
    )
    assert index.batch(OWNER, BATCH_AT, 5)
    assert index.file(OWNER, OUT, 5)
    assert index.batch("acct:b", BATCH_AT, 5) is None
    assert index.file("acct:b", OUT, 5) is None
    index.apply(FileDeleted(locator=OUT, owner="acct:b"))
    assert index.file(OWNER, OUT, 5)


@given(st.binary(max_size=300), st.integers(1, 40), st.lists(st.integers(1, 30), max_size=30))
def test_a_file_is_cut_at_ends_of_lines_and_nothing_is_lost(content: bytes, part_bytes: int, pieces: list[int]) -> None:
    cutter, at = LineCutter(part_bytes, 10_000), 0
    parts: list[bytes] = []
    for size in [*pieces, len(content)]:
        parts += cutter.feed(content[at : at + size])
        at += size
    parts += cutter.end()
    whole = content.removeprefix(b"\xef\xbb\xbf")
    assert [line for part in parts for line in lines_of(part)] == lines_of(whole)
    assert all(part.endswith(b"\n") for part in parts[:-1])


def test_a_line_is_bounded() -> None:
    cutter = LineCutter(10, 100)
    assert list(cutter.feed(b"x" * 100)) == []
    with pytest.raises(BadRequest):
        list(cutter.feed(b"x"))


@given(
    st.lists(st.tuples(st.sampled_from(["purpose", "file"]), st.binary(max_size=200)), max_size=5),
    st.lists(st.integers(1, 20), max_size=60),
)
def test_a_form_in_pieces_is_the_form(fields: list[tuple[str, bytes]], pieces: list[int]) -> None:
    body = encoded([FormPart(name, content, "f" if name == "file" else None) for name, content in fields], "=b=")
    reader, found, at = FormReader('multipart/form-data; boundary="=b="'), [], 0
    for size in [*pieces, len(body)]:
        for one in reader.feed(body[at : at + size]):
            if isinstance(one, FormPart):
                found.append((one.name, b""))
            else:
                found[-1] = (found[-1][0], found[-1][1] + one)
        at += size
    reader.end()
    assert found == fields


@pytest.mark.parametrize("body", [b"", b"--b\r\n", b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nx'])
def test_a_form_that_ends_too_early_is_none(body: bytes) -> None:
    reader = FormReader("multipart/form-data; boundary=b")
    list(reader.feed(body))
    with pytest.raises(FormError):
        reader.end()


def _raw(**changes: Any) -> bytes:
    return json.dumps({"custom_id": "c", "method": "POST", "url": URL, "body": {"model": "m"}} | changes).encode()


def test_a_line_is_a_request() -> None:
    line = line_of(_raw(), Surface.CHAT_COMPLETIONS, URL)
    assert (line.custom_id, json.loads(line.body)) == ("c", {"model": "m"})
    assert line == line_of(_raw(), Surface.CHAT_COMPLETIONS, URL), "sent again it has the same bytes"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"{", "invalid_json_line"),
        (b"[]", "invalid_json_line"),
        (b"[" * 500, "invalid_json_line"),
        (_raw(custom_id=""), "invalid_custom_id"),
        (_raw(custom_id=7), "invalid_custom_id"),
        (_raw(method="GET"), "invalid_method"),
        (_raw(url="/v1/responses"), "mismatched_url"),
        (_raw(body=[]), "invalid_body"),
        (_raw(body={"stream": True}), "invalid_body"),
        (_raw(body={"background": True}), "invalid_body"),
    ],
)
def test_a_line_that_is_no_request_says_why(raw: bytes, code: str) -> None:
    with pytest.raises(LineError) as found:
        line_of(raw, Surface.CHAT_COMPLETIONS, URL)
    assert found.value.problem(3).model_dump()["code"] == code


@given(st.binary(max_size=50), st.text(max_size=20))
def test_an_answer_is_one_line_whatever_came(body: bytes, custom_id: str) -> None:
    for line in (
        answered("l", custom_id, 200, "r", body),
        answered("l", custom_id, 200, "r", json.dumps({"a": [1, "\n"]}, indent=1).encode()),
        not_answered("l", custom_id, Reason("code", "why")),
    ):
        assert line.count(b"\n") == 1
        assert json.loads(line)["custom_id"] == custom_id


@given(st.integers(100, 599), st.integers(1, 50), st.integers(0, 50), st.none() | st.floats(0, 1e6))
def test_what_may_be_otherwise_later_is_sent_again(status: int, tries: int, faults: int, after_s: float | None) -> None:
    wait_s = again_after_s(status, tries, faults, after_s)
    if status < 400 or status in (400, 401, 402, 403, 404, 413, 422) or faults >= MOST_TRIES:
        assert wait_s is None
    elif status in (429, 503):
        assert wait_s is not None
        assert min(after_s or 1, MOST_S) <= wait_s <= MOST_S


@given(st.binary(max_size=400))
def test_what_is_sealed_opens_with_its_id_for_its_owner_as_this_part(content: bytes) -> None:
    name = FILE.new_id()
    named = Named(name, OWNER)
    sealed = named.seal(content, "part 0")
    assert Named(name, OWNER).open(sealed, "part 0") == content
    for other, about in ((Named(name, "acct:b"), "part 0"), (named, "part 1"), (Named(FILE.new_id(), OWNER), "part 0")):
        with pytest.raises(SealError):
            other.open(sealed, about)
    assert named.locator not in name


def test_ids_are_known_by_their_form() -> None:
    name = FILE.new_id()
    assert FILE.is_id(name)
    for other in (BATCH.new_id(), name + "x", name[:-1], f"{name}\n", "file-abc", None, 7):
        assert not FILE.is_id(other)


@pytest.mark.parametrize("given_", [[], {"a": 1}, {str(n): "" for n in range(17)}, {"a" * 65: ""}, {"a": "b" * 513}])
def test_metadata_is_bounded(given_: Any) -> None:
    with pytest.raises(BadRequest):
        metadata_of(given_)


@given(st.integers(0, 30), st.integers(1, 9), st.sampled_from(["asc", "desc"]))
def test_pages_show_each_once(count: int, limit: int, order: str) -> None:
    names, seen, asked = [f"n{number}" for number in range(count)], [], {"limit": str(limit), "order": order}
    while True:
        page = page_of(names, asked, lambda name: name, lambda name: {"id": name})
        seen += [one["id"] for one in page["data"]]
        if not page["has_more"]:
            break
        asked["after"] = page["last_id"]
    assert seen == (names if order == "asc" else names[::-1])
