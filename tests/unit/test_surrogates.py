"""Characters that a provider cuts in half: joined where both halves come, replaced where one is alone."""

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.requests import Surface
from libs.chat.exact_json import decode, encode
from libs.chat.providers.protocol import ProtocolError, parse_object
from libs.chat.surrogates import whole
from libs.config.providers import ProtocolName
from tests.unit.streams import BODIES, events_of, exchange_of

Event = dict[str, Any]
HIGH, LOW = "\ud83d", "\ude00"
text = st.text(st.sampled_from(["a", "é", "😀", "👍", HIGH, LOW]), max_size=6)
cuts = st.lists(st.integers(0, 12), max_size=4)


def _expected(said: str) -> str:
    """As a decoder of UTF-16 reads it, which is how JavaScript reads it."""
    return said.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _pieces(said: str, places: list[int]) -> list[str]:
    """The text cut between UTF-16 units, as JavaScript cuts it."""
    units = said.encode("utf-16-le", "surrogatepass")
    ends = sorted({0, len(units), *(place % (len(units) // 2 + 1) * 2 for place in places)})
    return [units[begin:end].decode("utf-16-le", "surrogatepass") for begin, end in pairwise(ends)]


def _chat(thought: list[str], said: list[str], args: list[str]) -> Iterator[Event]:
    def chunk(reason: str | None = None, **delta: Any) -> Event:
        return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

    def call(piece: str, **more: Any) -> Event:
        return {"index": 0, **more, "function": {"arguments": piece, **({"name": "f"} if more else {})}}

    yield chunk(role="assistant", content="")
    for piece in thought:
        detail = {"type": "reasoning.text", "index": 0, "text": piece}
        yield chunk(reasoning_content=piece, reasoning_details=[detail])
    yield from (chunk(content=piece) for piece in said)
    yield chunk(tool_calls=[call("", id="c")])
    yield from (chunk(tool_calls=[call(piece)]) for piece in args)
    yield chunk("tool_calls")


def _responses(thought: list[str], said: list[str], args: list[str]) -> Iterator[Event]:
    yield {"type": "response.created", "response": {"id": "r"}}
    for number, item in enumerate(("reasoning", "message", "function_call")):
        yield {"type": "response.output_item.added", "output_index": number, "item": {"type": item, "call_id": "c"}}
    kinds = ("reasoning_summary_text", "output_text", "function_call_arguments")
    for number, (kind, pieces) in enumerate(zip(kinds, (thought, said, args), strict=True)):
        for piece in pieces:
            yield {"type": f"response.{kind}.delta", "output_index": number, "content_index": 0, "delta": piece}
        yield {"type": f"response.{kind}.done", "output_index": number, "text": "".join(pieces)}
    yield {"type": "response.completed", "response": {"status": "completed"}}


def _messages(thought: list[str], said: list[str], args: list[str]) -> Iterator[Event]:
    yield {"type": "message_start", "message": {"id": "m"}}
    blocks = (("thinking", "thinking", thought), ("text", "text", said), ("input_json", "partial_json", args))
    for number, (kind, name, pieces) in enumerate(blocks):
        block = {"type": "tool_use", "id": "c", "name": "f", "input": {}} if kind == "input_json" else {"type": kind}
        yield {"type": "content_block_start", "index": number, "content_block": block}
        for piece in pieces:
            yield {"type": "content_block_delta", "index": number, "delta": {"type": f"{kind}_delta", name: piece}}
        yield {"type": "content_block_stop", "index": number}
    yield {"type": "message_delta", "delta": {"stop_reason": "tool_use"}}
    yield {"type": "message_stop"}


def _gemini(thought: list[str], said: list[str], args: list[str]) -> Iterator[Event]:
    def candidate(*parts: Event, **more: Any) -> Event:
        return {"candidates": [{"content": {"parts": list(parts)}, **more}]}

    yield from (candidate({"text": piece, "thought": True}) for piece in thought)
    yield from (candidate({"text": piece}) for piece in said)
    call = {"functionCall": {"id": "c", "name": "f", "args": {"a": "".join(args)}}}
    yield candidate(call, finishReason="STOP")


def _converse(thought: list[str], said: list[str], args: list[str]) -> Iterator[Event]:
    def delta(number: int, **content: Any) -> Event:
        return {"contentBlockDelta": {"contentBlockIndex": number, "delta": content}}

    yield {"messageStart": {}}
    yield from (delta(0, reasoningContent={"text": piece}) for piece in thought)
    yield from (delta(1, text=piece) for piece in said)
    yield {"contentBlockStart": {"contentBlockIndex": 2, "start": {"toolUse": {"toolUseId": "c", "name": "f"}}}}
    yield from (delta(2, toolUse={"input": piece}) for piece in args)
    yield {"messageStop": {"stopReason": "tool_use"}}
    yield {"metadata": {"usage": {"inputTokens": 1, "outputTokens": 1}}}


PROVIDERS: dict[ProtocolName, Callable[[list[str], list[str], list[str]], Iterator[Event]]] = {
    "openai-chat": _chat,
    "openai-responses": _responses,
    "anthropic-messages": _messages,
    "gemini": _gemini,
    "bedrock-converse": _converse,
}


def _read(surface: Surface, events: list[Event]) -> tuple[str, str, str]:
    """Thought, text and arguments that a client puts together."""
    if surface is Surface.RESPONSES:
        kinds = ("reasoning_summary_text", "output_text", "function_call_arguments")
        found = [[e["delta"] for e in events if e["type"] == f"response.{kind}.delta"] for kind in kinds]
    elif surface is Surface.MESSAGES:
        deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
        found = [[delta.get(name) or "" for delta in deltas] for name in ("thinking", "text", "partial_json")]
    else:
        deltas = [choice["delta"] for event in events for choice in event["choices"]]
        calls = [call["function"]["arguments"] for delta in deltas for call in delta.get("tool_calls", ())]
        found = [[delta.get(name) or "" for delta in deltas] for name in ("reasoning_content", "content")]
        details = [detail["text"] for delta in deltas for detail in delta.get("reasoning_details", ())]
        assert not details or "".join(details) == "".join(found[0])
        found.append(calls)
    thought, said, args = ("".join(pieces) for pieces in found)
    return thought, said, args


@pytest.mark.parametrize("surface", BODIES)
@pytest.mark.parametrize("protocol", PROVIDERS)
@given(thought=text, said=text, args=text, places=cuts)
def test_a_stream_cut_between_any_two_units(
    protocol: ProtocolName, surface: Surface, thought: str, said: str, args: str, places: list[int]
) -> None:
    stream = exchange_of(surface, protocol).stream
    events = PROVIDERS[protocol](*(_pieces(one, places) for one in (thought, said, args)))
    # As JSON.stringify does since ES2019: what is no character is escaped.
    out = "".join(stream.event(json.dumps(event)) for event in events) + stream.finish(None)
    found = _read(surface, events_of(out))
    wanted = [_expected(one) for one in (thought, said, args)]
    if protocol == "gemini":
        wanted[2] = encode({"a": wanted[2]})
    if protocol == "openai-responses" and surface is Surface.RESPONSES:
        # It passes as it is, numbers and all: a half that stays alone is in the event that ends the text.
        wanted = [one.removesuffix("\ufffd") if found[at] != one else one for at, one in enumerate(wanted)]
        done = [event["text"] for event in events_of(out) if event["type"].endswith(".done")]
        assert done == [_expected(one) for one in (thought, said, args)]
    assert list(found) == wanted
    assert len("".join(found).encode()) <= stream.delivered_bytes + 3 * len(found)


def test_halves_of_parallel_calls_do_not_meet() -> None:
    stream = exchange_of(Surface.CHAT_COMPLETIONS).stream

    def piece(number: int, arguments: str) -> str:
        call = {"index": number, "function": {"arguments": arguments}}
        return json.dumps({"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}]})

    out = "".join(stream.event(piece(*one)) for one in ((0, HIGH), (1, HIGH), (0, LOW), (1, "\ude01")))
    calls = [call for event in events_of(out) for call in event["choices"][0]["delta"]["tool_calls"]]
    texts = ["".join(call["function"]["arguments"] for call in calls if call["index"] == number) for number in (0, 1)]
    assert texts == ["😀", "😁"]


def test_names_that_nobody_joins_do_not_end_the_answer() -> None:
    stream = exchange_of(Surface.CHAT_COMPLETIONS).stream
    call = {"index": 0, "id": HIGH, "function": {"name": LOW, "arguments": ""}}
    chunk = {"id": HIGH, "choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]}
    usage = {"choices": [], "id": LOW, "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    out = stream.event(json.dumps(chunk)) + stream.event(json.dumps(usage)) + stream.finish(None)
    first, last = events_of(out)
    assert (first["id"], last["id"]) == ("\ufffd", "\ufffd")
    assert first["choices"][0]["delta"]["tool_calls"][0]["function"]["name"] == "\ufffd"


@given(text)
def test_a_whole_answer_has_no_halves(said: str) -> None:
    assert whole(said) == _expected(said)
    assert decode(json.dumps({said: [said]})) == {_expected(said): [_expected(said)]}
    assert json.loads(encode({"a": said, "n": 2**70})) == {"a": _expected(said), "n": 2**70}


HALF = b'"\\ud83d"'


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[1]",
        HALF,
        b'{"a":NaN}',
        b'{"a":NaN,"b":' + HALF + b"}",
        b'{"a":"\xff"}',
        b'{"a":1',
        b'{"a":' + HALF,
        b"[" * 1_000_000,
        b'{"a":' * 500 + HALF + b"}" * 500,
    ],
)
def test_what_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_object(data)
