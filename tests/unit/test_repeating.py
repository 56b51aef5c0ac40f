"""A stream whose repeated pieces are not read is the same, byte for byte and in the books."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.requests import Surface
from libs.chat.providers.openai_chat.stream import ChatReader
from libs.chat.providers.protocol import ProtocolError, ProviderFailure
from libs.chat.providers.repeating import TRIES
from libs.chat.providers.translation import Translated
from libs.chat.shapes.completion import Chunk
from libs.chat.surfaces.chat.stream import ChatWriter
from libs.chat.surfaces.registry import DIALECTS

TEXTS = st.one_of(
    st.sampled_from(["a", "b", " c", "é", "\n", '"', "\\", "\x7f", "\ud83d", "\ude00", ""]), st.text(max_size=4)
)
USAGES = st.sampled_from(
    [None, {"prompt_tokens": 1, "completion_tokens": 2}, {"prompt_tokens": 1, "completion_tokens": 3}]
)


class Counted(ChatReader):
    """Counts the pieces that it reads."""

    def __init__(self) -> None:
        super().__init__(model="a/b")
        self.pieces = 0

    def read(self, data: str) -> list[Chunk]:
        """See `ChatReader`."""
        self.pieces += 1
        return super().read(data)


def _stream(*, repeats: bool, named: bool = False, answer_id: str | None = None) -> tuple[Translated, Counted]:
    reader = Counted()
    stream = Translated(reader, ChatWriter(usage=True, named=named), answer_id)
    if not repeats:
        stream._repeating = None
    return stream, reader


def _piece(text: str | None, **more: object) -> str:
    return json.dumps({"id": "c", "choices": [{"index": 0, "delta": {"content": text}}], **more}, ensure_ascii=False)


@st.composite
def _pieces(draw: st.DrawFn) -> str:
    """Of one choice, mostly; odd ones among them."""
    name = draw(st.sampled_from(["content", "content", "reasoning_content", "reasoning", "refusal"]))
    delta: dict[str, Any] = {name: draw(TEXTS)}
    if draw(st.integers(0, 5)) == 0:
        delta |= draw(
            st.sampled_from(
                [{"role": "assistant"}, {"content": "a"}, {"tool_calls": [{"index": 0}]}, {"x": {"content": "a"}}]
            )
        )
    choice: dict[str, Any] = {"index": 0, "delta": delta, "finish_reason": draw(st.sampled_from([None] * 5 + ["stop"]))}
    chunk: dict[str, Any] = {"id": "c", "choices": [choice]}
    match draw(st.integers(0, 8)):
        case 0:
            chunk["choices"].append({"index": 1, "delta": {"content": draw(TEXTS)}})
        case 1:
            chunk["content"] = draw(TEXTS)
        case 2:
            chunk["choices"] = [{"index": 0, "text": draw(TEXTS)}]
        case 3:
            chunk["usage"] = draw(USAGES)
        case 4:
            chunk["n"] = draw(st.integers(0, 2))
    spaced = draw(st.booleans())
    text = json.dumps(chunk, ensure_ascii=draw(st.booleans()), separators=None if spaced else (",", ":"))
    text = text.encode(errors="replace").decode()
    return text if draw(st.integers(0, 20)) else text[: draw(st.integers(0, len(text)))]


def _all(stream: Translated, pieces: list[str]) -> list[object]:
    seen: list[object] = []
    for piece in pieces:
        try:
            seen.append(stream.event(piece))
        except (ProtocolError, ProviderFailure) as error:
            return [*seen, type(error)]
        seen.append((stream.delivered_bytes, stream.usage, stream.finished, stream.done))
    return [*seen, stream.finish(None)]


@settings(max_examples=300)
@given(
    st.lists(_pieces(), max_size=12),
    st.lists(st.integers(0, 11), max_size=40),
    st.booleans(),
    st.sampled_from([None, "id"]),
)
def test_what_is_not_read_is_the_same(kinds: list[str], order: list[int], named: bool, answer_id: str | None) -> None:
    """Few kinds of pieces, so that many repeat."""
    pieces = [kinds[number % len(kinds)] for number in order] if kinds else []
    read, _ = _stream(repeats=False, named=named, answer_id=answer_id)
    fast, _ = _stream(repeats=True, named=named, answer_id=answer_id)
    assert _all(fast, pieces) == _all(read, pieces)


@settings(max_examples=300)
@given(
    st.lists(TEXTS, max_size=30), st.sampled_from([{}, {"role": "assistant"}, {"refusal": None}]), USAGES, st.booleans()
)
def test_texts_that_change_alone_are_the_same(
    texts: list[str], more: dict[str, Any], usage: dict[str, int] | None, spaced: bool
) -> None:
    pieces = [
        json.dumps(
            {"choices": [{"index": 0, "delta": {"content": text, **more}}], "usage": usage},
            ensure_ascii="\ud800" <= text[-1:] <= "\udfff",
            separators=None if spaced else (",", ":"),
        )
        for text in texts
    ]
    assert _all(_stream(repeats=True)[0], pieces) == _all(_stream(repeats=False)[0], pieces)


def test_two_are_read_and_the_others_are_not() -> None:
    stream, reader = _stream(repeats=True)
    texts = ["a", "b", "c", "ü", "", "d"]
    events = "".join(stream.event(_piece(text)) for text in texts).split("\n\n")
    assert [json.loads(event[6:])["choices"][0]["delta"]["content"] for event in events[:-1]] == texts
    assert (reader.pieces, stream.delivered_bytes) == (2, 6)


@pytest.mark.parametrize(
    "other",
    [
        _piece("x", usage={"prompt_tokens": 1, "completion_tokens": 9}),
        _piece("\U0001f600").replace("\U0001f600", "\\ud83d\\ude00"),
        _piece(None),
    ],
)
def test_what_comes_between_is_read_and_so_are_two_after_it(other: str) -> None:
    stream, reader = _stream(repeats=True)
    for piece in [*map(_piece, "abc"), other, *map(_piece, "def")]:
        stream.event(piece)
    assert reader.pieces == 5


def test_a_stream_that_never_repeats_is_not_learned_from_for_ever() -> None:
    stream, reader = _stream(repeats=True)
    for number in range(TRIES):
        stream.event(_piece("a", obfuscation=str(number)))
    for text in "abcd":
        stream.event(_piece(text))
    assert reader.pieces == TRIES + 4


BEFORE, AFTER = _piece("|").split("|")


@pytest.mark.parametrize("broken", [f"{BEFORE}a\tb{AFTER}", f'{BEFORE}a"b{AFTER}', BEFORE + AFTER[1:]])
def test_what_is_no_json_is_none_though_it_begins_and_ends_as_the_others(broken: str) -> None:
    stream, _ = _stream(repeats=True)
    for text in "ab":
        stream.event(_piece(text))
    with pytest.raises(ProtocolError):
        stream.event(broken)


def test_what_is_called_as_a_text_and_is_none_is_read() -> None:
    stream, reader = _stream(repeats=True)
    pieces = [json.dumps({"content": what, **json.loads(_piece("a"))}) for what in ["a", "a", "bb", "ccc"]]
    for piece in pieces:
        stream.event(piece)
    assert (reader.pieces, stream.delivered_bytes) == (4, 4)


def _of(delta: str, **more: object) -> str:
    """A piece with a delta as it is written."""
    return _piece(None, **more).replace('{"content": null}', delta)


@pytest.mark.parametrize(
    ("pieces", "named"),
    [
        ([_of(f'{{"reasoning_content": "{text}"}}') for text in ["a", "a", "b", "c", "", "d"]], True),
        ([_of(f'{{"content": "{text}"}}') for text in ["a", "a", "", "", "b", "a"]], False),
        ([_of(f'{{"content": "{text}", "c\\u006fntent": "a"}}') for text in "aaba"], False),
        ([_of('{"reasoning": "a"}', content=text) for text in ["a", "a", "bcd"]], False),
    ],
)
def test_two_that_are_the_same_say_nothing_of_a_third(pieces: list[str], named: bool) -> None:
    assert _all(_stream(repeats=True, named=named)[0], pieces) == _all(_stream(repeats=False, named=named)[0], pieces)


def test_a_text_of_another_name_beside_it_counts() -> None:
    stream, _ = _stream(repeats=True)
    for text in "abcd":
        stream.event(_piece(text).replace('"content"', '"refusal": "no", "content"'))
    assert stream.delivered_bytes == 12


class Other:
    """A reader of another protocol, whatever its pieces look like."""

    def __init__(self) -> None:
        self.read = Counted().read
        self.tail = Counted().tail
        self.usage, self.done, self.finished = None, False, False


def test_readers_and_writers_that_may_count_get_every_piece() -> None:
    assert Translated(Other(), ChatWriter(usage=True))._repeating is None
    for surface in (Surface.RESPONSES, Surface.MESSAGES, Surface.COMPLETIONS):
        assert Translated(Counted(), DIALECTS[surface].writer("a/b", {}))._repeating is None
