"""Whole numbers of any size in the arguments of tool calls keep their digits, there and back."""

from typing import Any

import orjson
import pytest

from contracts.requests import Surface
from libs.config.providers import ProtocolName
from tests.unit.streams import BODIES, exchange_of, relay

DIGITS = "123456789012345678901234567890"
ARGUMENTS = f'{{"n":{DIGITS},"m":-{DIGITS}}}'
TEXT = orjson.dumps(ARGUMENTS).decode()
WHOLE: dict[ProtocolName, str] = {
    "openai-chat": '{"choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":'
    f'"function","function":{{"name":"f","arguments":{TEXT}}}}}]}},"finish_reason":"tool_calls"}}]}}',
    "openai-responses": f'{{"output":[{{"type":"function_call","call_id":"c","name":"f","arguments":{TEXT}}}]}}',
    "anthropic-messages": f'{{"content":[{{"type":"tool_use","id":"c","name":"f","input":{ARGUMENTS}}}]}}',
    "gemini": f'{{"candidates":[{{"content":{{"parts":[{{"functionCall":{{"name":"f","args":{ARGUMENTS}}}}}]}}}}]}}',
    "bedrock-converse": '{"output":{"message":{"content":[{"toolUse":{"toolUseId":"c","name":"f","input":'
    f"{ARGUMENTS}}}}}]}}}}}}",
}
CALLED: dict[Surface, list[dict[str, Any]]] = {
    Surface.CHAT_COMPLETIONS: [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": ARGUMENTS}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "so"},
    ],
    Surface.RESPONSES: [
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": ARGUMENTS},
        {"type": "function_call_output", "call_id": "c", "output": "so"},
    ],
    Surface.MESSAGES: [
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {"n": int(DIGITS), "m": -int(DIGITS)}}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "so"}]},
    ],
}


def _has_both(text: str) -> bool:
    return f":{DIGITS}," in text and f":-{DIGITS}}}" in text


@pytest.mark.parametrize("surface", BODIES)
@pytest.mark.parametrize("protocol", WHOLE)
def test_in_a_request(protocol: ProtocolName, surface: Surface) -> None:
    turn, field = {"role": "user", "content": "hi"}, "input" if surface is Surface.RESPONSES else "messages"
    body = {**BODIES[surface], field: [turn, *CALLED[surface]]}
    assert _has_both(exchange_of(surface, protocol, body).outgoing.content.decode().replace("\\", ""))


@pytest.mark.parametrize("surface", BODIES)
@pytest.mark.parametrize("protocol", WHOLE)
def test_in_a_whole_answer(protocol: ProtocolName, surface: Surface) -> None:
    answer = exchange_of(surface, protocol, streamed=False).whole(WHOLE[protocol].encode())
    assert _has_both(answer.body(None).replace("\\", ""))


@pytest.mark.parametrize("surface", BODIES)
async def test_in_a_stream_of_whole_arguments(surface: Surface) -> None:
    event = WHOLE["gemini"].replace("}}]}}]}", '}}]},"finishReason":"STOP"}]}')
    text = await relay(exchange_of(surface, "gemini"), [f"data: {event}\n\n".encode()])
    assert _has_both(text.replace("\\", ""))


async def test_anywhere_else_in_an_event_that_passes() -> None:
    """A provider may send what nobody here has heard of."""
    chunk = f'{{"choices":[{{"index":0,"delta":{{"new":[{DIGITS}]}},"finish_reason":"stop"}}]}}'
    text = await relay(exchange_of(Surface.CHAT_COMPLETIONS), [f"data: {chunk}\n\n".encode()])
    assert f"[{DIGITS}]" in text
    event = f'{{"type":"message_stop","new":{DIGITS}}}'
    text = await relay(exchange_of(Surface.MESSAGES, "anthropic-messages"), [f"data: {event}\n\n".encode()])
    assert f":{DIGITS}}}" in text
