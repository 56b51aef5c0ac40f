"""Parallel tool calls whose pieces take turns: each arrives whole, with its name and ID, on every surface."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.requests import Surface
from tests.unit.streams import events_of, exchange_of

SURFACES = (Surface.RESPONSES, Surface.MESSAGES)
Call = tuple[str, str, dict[str, Any]]
words = st.text('a{}"é ', max_size=6)
arguments = st.dictionaries(words, words, max_size=2)


def _chunk(index: int, reason: str | None = None, **call: Any) -> dict[str, Any]:
    called = [{"index": index, **call}] if call else []
    return {"id": "c1", "choices": [{"index": 0, "delta": {"tool_calls": called}, "finish_reason": reason}]}


def _text(**delta: str) -> dict[str, Any]:
    return {"id": "c1", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


def _begun(index: int, call: Call, arguments: str = "") -> dict[str, Any]:
    return _chunk(index, id=call[0], function={"name": call[1], "arguments": arguments})


def _more(index: int, arguments: str) -> dict[str, Any]:
    return _chunk(index, function={"arguments": arguments})


@st.composite
def interleaved(draw: st.DrawFn) -> tuple[list[Call], list[dict[str, Any]]]:
    """Calls, and the chunks of a stream in which they begin in order and go on in any."""
    made = [(f"call{n}", f"f{n}", draw(arguments)) for n in range(draw(st.integers(0, 4)))]
    chunks: list[dict[str, Any]] = []
    rests = []
    for index, call in enumerate(made):
        text = orjson.dumps(call[2]).decode()
        cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
        first, *rest = [text[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        chunks.append(_begun(index, call, first))
        rests.append(rest)
        while any(rests) and draw(st.booleans()):
            _go_on(draw, rests, chunks)
    while any(rests):
        _go_on(draw, rests, chunks)
    return made, [*chunks, _chunk(0, "tool_calls")]


def _go_on(draw: st.DrawFn, rests: list[list[str]], chunks: list[dict[str, Any]]) -> None:
    index = draw(st.sampled_from([index for index, rest in enumerate(rests) if rest]))
    chunks.append(_more(index, rests[index].pop(0)))


def _answer(surface: Surface, chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a client's SDK puts together, strictly: of one item at a time, as the providers themselves send them."""
    stream = exchange_of(surface).stream
    text = "".join(stream.event(orjson.dumps(chunk).decode()) for chunk in chunks) + stream.finish(None)
    found: list[dict[str, Any]] = []
    is_open = False
    for event in events_of(text):
        match event["type"].removeprefix("response."):
            case "output_item.added" | "content_block_start":
                assert not is_open
                item = event.get("item") or event["content_block"]
                found.append({**item, "args": ""})
                is_open = True
            case "function_call_arguments.delta":
                assert is_open
                assert (event["output_index"], event["item_id"]) == (len(found) - 1, found[-1]["id"])
                found[-1]["args"] += event["delta"]
            case "content_block_delta":
                assert is_open
                assert event["index"] == len(found) - 1
                found[-1]["args"] += event["delta"].get("partial_json") or event["delta"].get("text") or ""
            case "output_item.done" | "content_block_stop":
                assert is_open
                assert event.get("index", event.get("output_index")) == len(found) - 1
                is_open = False
                if "item" in event:
                    assert event["item"].get("arguments", "") == found[-1]["args"]
            case "completed":
                assert [item["id"] for item in event["response"]["output"]] == [item["id"] for item in found]
    assert not is_open
    return found


def _called(found: list[dict[str, Any]]) -> list[Call]:
    return [
        (item.get("call_id") or item["id"], item["name"], orjson.loads(item["args"] or "{}"))
        for item in found
        if item["type"] in ("function_call", "tool_use")
    ]


@pytest.mark.parametrize("surface", SURFACES)
@given(case=interleaved())
def test_each_call_arrives_whole(surface: Surface, case: tuple[list[Call], list[dict[str, Any]]]) -> None:
    made, chunks = case
    assert _called(_answer(surface, chunks)) == made


@pytest.mark.parametrize("surface", SURFACES)
def test_a_text_between_two_pieces_of_a_call_waits(surface: Surface) -> None:
    call = ("c", "f", {"a": 1})
    chunks = [_begun(0, call, '{"a"'), _text(content="so"), _more(0, ":1}"), _text(content=" on"), _chunk(0, "stop")]
    found = _answer(surface, chunks)
    assert _called(found) == [call]
    assert [item["type"] for item in found][1:] == (["message"] if surface is Surface.RESPONSES else ["text"])


@pytest.mark.parametrize("surface", SURFACES)
def test_calls_that_do_not_take_turns_are_not_held_back(surface: Surface) -> None:
    stream = exchange_of(surface).stream
    first: Call = ("c", "f", {})
    second: Call = ("d", "g", {})
    for chunk in (_begun(0, first, "{"), _more(0, '"a":'), _more(0, "1}")):
        assert stream.event(orjson.dumps(chunk).decode())
    begun = events_of(stream.event(orjson.dumps(_begun(1, second)).decode()))
    ends = ("response.output_item.done", "content_block_stop")
    assert [event["type"] in ends for event in begun][-2:] == [True, False]
    assert stream.event(orjson.dumps(_more(1, "{")).decode())


@pytest.mark.parametrize("surface", SURFACES)
def test_what_comes_after_the_end_of_a_call_is_not_another_call(surface: Surface) -> None:
    first: Call = ("c", "f", {"a": 1})
    second: Call = ("d", "g", {})
    chunks = [_begun(0, first, '{"a":1}'), _begun(1, second, "{}"), _more(0, "\n"), _more(1, ""), _chunk(0, "stop")]
    assert _called(_answer(surface, chunks)) == [first, second]
