"""How answers end: failed, cut short, or with calls of tools, whatever the provider says of it."""

from typing import Any

import orjson
import pytest

from contracts.requests import Surface
from libs.chat.providers.protocol import ProviderFailure
from libs.config.providers import ProtocolName
from tests.unit.streams import BODIES, events_of, exchange_of

FAILED = {"status": "failed", "error": {"code": "server_error", "message": "overloaded"}, "output": []}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLED: dict[Surface, str] = {
    Surface.CHAT_COMPLETIONS: "tool_calls",
    Surface.MESSAGES: "tool_use",
    Surface.RESPONSES: "completed",
}
CUT: dict[Surface, str] = {
    Surface.CHAT_COMPLETIONS: "length",
    Surface.MESSAGES: "max_tokens",
    Surface.RESPONSES: "incomplete",
}
WHOLE: dict[ProtocolName, dict[str, Any]] = {
    "openai-chat": {"choices": [{"index": 0, "message": {"tool_calls": [CALL]}, "finish_reason": "stop"}]},
    "anthropic-messages": {
        "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}}],
        "stop_reason": "end_turn",
    },
    "bedrock-converse": {
        "output": {"message": {"content": [{"toolUse": {"toolUseId": "c", "name": "f", "input": {}}}]}},
        "stopReason": "end_turn",
    },
}
STREAMED: dict[ProtocolName, list[dict[str, Any]]] = {
    "openai-chat": [
        {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, **CALL}]}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    ],
    "anthropic-messages": [
        {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "c", "name": "f"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
    ],
    "bedrock-converse": [
        {"contentBlockStart": {"start": {"toolUse": {"toolUseId": "c", "name": "f"}}}},
        {"messageStop": {"stopReason": "end_turn"}},
    ],
}


def _whole(surface: Surface, protocol: ProtocolName, answer: dict[str, Any]) -> str:
    found = exchange_of(surface, protocol, streamed=False).whole(orjson.dumps(answer))
    return _ending(orjson.loads(found.body(None)))


def _streamed(surface: Surface, protocol: ProtocolName, events: list[dict[str, Any]]) -> str:
    stream = exchange_of(surface, protocol).stream
    text = "".join(stream.event(orjson.dumps(event).decode()) for event in events) + stream.finish(None)
    assert stream.finished
    return "".join(_ending(event) for event in events_of(text))


def _ending(answer: dict[str, Any]) -> str:
    """Of an answer, or of the event that says it."""
    found = [choice.get("finish_reason") for choice in answer.get("choices") or ()]
    found += [answer.get("stop_reason"), _of_delta(answer.get("delta"))]
    if answer.get("object") == "response":
        found.append(answer["status"])
    if answer.get("type") in ("response.completed", "response.incomplete"):
        found.append(answer["response"]["status"])
    return "".join(reason for reason in found if reason)


def _of_delta(delta: Any) -> Any:
    return delta.get("stop_reason") if isinstance(delta, dict) else None


@pytest.mark.parametrize("surface", BODIES)
@pytest.mark.parametrize("protocol", WHOLE)
def test_stop_beside_tool_calls_is_for_the_tools(protocol: ProtocolName, surface: Surface) -> None:
    if (surface, protocol) == (Surface.MESSAGES, "anthropic-messages"):
        return  # It passes as it is.
    assert _whole(surface, protocol, WHOLE[protocol]) == CALLED[surface]
    assert _streamed(surface, protocol, STREAMED[protocol]) == CALLED[surface]


def test_each_choice_ends_for_itself() -> None:
    said = {"index": 1, "message": {"content": "hi"}, "finish_reason": "stop"}
    whole = {"choices": [*WHOLE["openai-chat"]["choices"], said, {**said, "index": 2, "finish_reason": "length"}]}
    found = exchange_of(Surface.CHAT_COMPLETIONS, streamed=False).whole(orjson.dumps(whole))
    reasons = [choice["finish_reason"] for choice in orjson.loads(found.body(None))["choices"]]
    assert reasons == ["tool_calls", "stop", "length"]
    text = {"choices": [{"index": 1, "delta": {"content": "hi"}, "finish_reason": "stop"}]}
    assert _streamed(Surface.CHAT_COMPLETIONS, "openai-chat", [*STREAMED["openai-chat"], text]) == "tool_callsstop"


@pytest.mark.parametrize("surface", BODIES)
def test_a_failed_response_is_no_answer(surface: Surface) -> None:
    found = exchange_of(surface, "openai-responses", streamed=False)
    with pytest.raises(ProviderFailure, match="overloaded"):
        found.whole(orjson.dumps(FAILED))
    with pytest.raises(ProviderFailure, match="no reason"):
        found.whole(orjson.dumps({**FAILED, "error": None}))


@pytest.mark.parametrize("surface", BODIES)
def test_a_stream_that_fails_is_no_answer_and_what_it_cost_is_known(surface: Surface) -> None:
    stream = exchange_of(surface, "openai-responses").stream
    usage = {"input_tokens": 5, "output_tokens": 2, "input_tokens_details": {}, "output_tokens_details": {}}
    stream.event('{"type":"response.created","response":{"id":"r"}}')
    with pytest.raises(ProviderFailure, match="overloaded"):
        stream.event(orjson.dumps({"type": "response.failed", "response": {**FAILED, "usage": usage}}).decode())
    assert not stream.done
    assert stream.usage is not None
    assert (stream.usage.input_tokens, stream.usage.output_tokens) == (5, 2)


ERRORS: list[tuple[ProtocolName, dict[str, Any]]] = [
    ("openai-chat", {"error": {"message": "overloaded"}}),
    ("openai-chat", {"error": "overloaded"}),
    ("openai-chat", {"error": {"message": "overloaded"}, "choices": []}),
    ("openai-responses", {"type": "error", "message": "overloaded"}),
    ("openai-responses", {"error": {"message": "overloaded"}}),
    ("anthropic-messages", {"type": "error", "error": {"type": "overloaded_error", "message": "overloaded"}}),
    ("gemini", {"error": {"code": 503, "message": "overloaded"}}),
    ("bedrock-converse", {"message": "overloaded"}),
    ("bedrock-converse", {"throttlingException": {"message": "overloaded"}}),
]


@pytest.mark.parametrize("surface", BODIES)
@pytest.mark.parametrize(("protocol", "answer"), ERRORS)
def test_an_error_with_status_200_is_no_answer(
    surface: Surface, protocol: ProtocolName, answer: dict[str, Any]
) -> None:
    """As OpenRouter has it, and proxies before the others."""
    with pytest.raises(ProviderFailure, match="overloaded"):
        exchange_of(surface, protocol, streamed=False).whole(orjson.dumps(answer))


@pytest.mark.parametrize("details", [{}, {"incomplete_details": None}, {"incomplete_details": {"reason": "new"}}])
@pytest.mark.parametrize("surface", BODIES)
def test_an_incomplete_response_without_a_reason_is_cut_short(surface: Surface, details: dict[str, Any]) -> None:
    response = {"object": "response", "status": "incomplete", "output": [], **details}
    assert _whole(surface, "openai-responses", response) == CUT[surface]
    assert (
        _streamed(surface, "openai-responses", [{"type": "response.incomplete", "response": response}]) == CUT[surface]
    )


@pytest.mark.parametrize("surface", BODIES)
def test_an_incomplete_response_with_calls_is_cut_short_too(surface: Surface) -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a'}
    response = {"object": "response", "status": "incomplete", "output": [call]}
    assert _whole(surface, "openai-responses", response) == CUT[surface]
