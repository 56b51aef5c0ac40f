"""Forms with files: what HTTP libraries write is read, and what is written they read."""

import tracemalloc
from email import message_from_bytes

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.endpoints.multipart import MOST_PARTS, FormError, Part, boundary_of, encoded, parts_of

names = st.text(st.characters(codec="utf-8", exclude_characters="\0\\%", categories=["L", "N", "P", "Z"]), min_size=1)
contents = st.binary(max_size=200) | st.sampled_from([b"\r\n", b"\r\n\r\n", b"--", b"\r\n--", b"\r\n--x\r\n"])


@given(st.lists(st.tuples(names, contents), max_size=4), st.lists(st.tuples(names, names, contents), max_size=3))
def test_what_httpx_writes_is_read(fields: list[tuple[str, bytes]], files: list[tuple[str, str, bytes]]) -> None:
    sent = [(name, (None, content)) for name, content in fields]
    sent_files = [(name, (filename, content, "image/png")) for name, filename, content in files]
    if not sent and not sent_files:
        return
    request = httpx.Request("POST", "http://x", files=[*sent, *sent_files])
    found = parts_of(request.headers["content-type"], request.read())
    read = [(part.name.replace("%22", '"'), part.content) for part in found]
    assert read == [(name, content) for name, content in fields] + [(name, content) for name, _, content in files]
    assert [part.content_type for part in found if part.filename is not None] == ["image/png"] * len(files)


@given(st.lists(st.tuples(names, contents, st.none() | names), min_size=1, max_size=5))
def test_what_is_written_is_read_again_and_by_the_standard_library(parts: list[tuple[str, bytes, str | None]]) -> None:
    made = [Part(name, content, filename, "image/png" if filename else None) for name, content, filename in parts]
    body = encoded(made, "the-boundary")
    read = parts_of("multipart/form-data; boundary=the-boundary", body)
    assert [part.content for part in read] == [part.content for part in made]
    assert [(part.name, part.filename, part.content_type) for part in read] == [
        (part.name.replace('"', "%22"), part.filename and part.filename.replace('"', "%22"), part.content_type)
        for part in made
    ]
    theirs = message_from_bytes(b"Content-Type: multipart/form-data; boundary=the-boundary\r\n\r\n" + body)
    assert [part.get_payload(decode=True) for part in theirs.get_payload()] == [  # type: ignore[union-attr]
        part.content for part in made
    ]


def test_a_file_is_copied_once_when_it_is_read_and_once_when_it_is_written() -> None:
    body = encoded([Part("file", bytes(4_000_000), "a.mp3")], "x")
    tracemalloc.start()
    try:
        read = parts_of("multipart/form-data; boundary=x", body)
        assert tracemalloc.get_traced_memory()[1] < 1.1 * len(body)
        tracemalloc.reset_peak()
        assert encoded(read, "x") == body
        assert tracemalloc.get_traced_memory()[1] < 2.1 * len(body), "with what was read"
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=300), st.text(max_size=60))
def test_no_bytes_make_it_fail_otherwise(content: bytes, content_type: str) -> None:
    for boundary in (content_type, "multipart/form-data; boundary=x"):
        for body in (content, b"--x\r\n" + content + b"\r\n--x--"):
            try:
                parts_of(boundary, body)
            except FormError as error:
                assert str(error)


def _form(*parts: str) -> bytes:
    return "".join(f"--x\r\n{part}\r\n" for part in parts).encode() + b"--x--\r\n"


GOOD = 'Content-Disposition: form-data; name="a"\r\n\r\nb'


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        (b"", "whole"),
        (_form(GOOD)[:-8], "whole"),
        (_form("Content-Type: text/plain\r\n\r\nb"), "name"),
        (_form("no headers"), "headers"),
        (_form(GOOD.replace("Content", f"X: {'y' * 5_000}\r\nContent")), "headers"),
        (_form(*[GOOD] * (MOST_PARTS + 1)), str(MOST_PARTS)),
    ],
)
def test_what_is_no_form_is_named(body: bytes, hint: str) -> None:
    with pytest.raises(FormError, match=hint):
        parts_of("multipart/form-data; boundary=x", body)


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", "abc"),
        ('multipart/form-data; Boundary="a b:c"; charset=utf-8', "a b:c"),
        ("multipart/form-data;boundary=----WebKitFormBoundaryX", "----WebKitFormBoundaryX"),
    ],
)
def test_boundaries_are_read_as_rfc_2046_has_them(content_type: str, boundary: str) -> None:
    assert boundary_of(content_type) == boundary


def test_a_name_cannot_bring_a_header_of_its_own() -> None:
    body = encoded([Part('a"\r\nX-Evil: 1', b"", 'f"\r\n\r\nnew')], "x")
    (part,) = parts_of("multipart/form-data; boundary=x", body)
    assert (part.content, part.content_type) == (b"", None)
    assert b"\r\nX-Evil" not in body
