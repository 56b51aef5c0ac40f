"""Anthropic's Messages."""

from typing import Any

from deploy.local.stub.said import ANY_TOOL, SIGNATURE, Heard, Said, text_in
from deploy.local.stub.speech import EVENTS, named_event


class Messages:
    """See `deploy.local.stub.speech.Speech`."""

    content_type = EVENTS
    call_prefix = "toolu_stub"

    def hear(self, path: str, body: dict[str, Any]) -> Heard:
        prompt = text_in(body["messages"][-1]["content"])
        tools = {tool["name"]: tool.get("input_schema") or {} for tool in body.get("tools") or ()}
        choice = body.get("tool_choice") or {}
        return Heard(
            body=body,
            model=body["model"],
            prompt=prompt,
            characters=len(prompt),
            most_tokens=body["max_tokens"],
            streamed=bool(body.get("stream")),
            tools=tools,
            tool_choice=ANY_TOOL if choice.get("type") == "any" else choice.get("name"),
            schema=((body.get("output_config") or {}).get("format") or {}).get("schema"),
        )

    def whole(self, said: Said) -> dict[str, Any]:
        return {**_message(said), "content": _blocks(said), "stop_reason": _reason(said), "usage": _usage(said)}

    def opening(self, said: Said) -> list[bytes]:
        begun = {**_usage(said), "output_tokens": 1}
        message = {**_message(said), "content": [], "stop_reason": None, "usage": begun}
        out = [named_event({"type": "message_start", "message": message}), named_event({"type": "ping"})]
        if said.thought:
            out.append(_begin(0, {"type": "thinking", "thinking": "", "signature": ""}))
            out.append(_grow(0, {"type": "thinking_delta", "thinking": said.thought}))
            out.append(_grow(0, {"type": "signature_delta", "signature": SIGNATURE}))
            out.append(_end(0))
        if said.words:
            out.append(_begin(said.text_index, {"type": "text", "text": ""}))
        return out

    def word(self, said: Said, number: int) -> bytes:
        return _grow(said.text_index, {"type": "text_delta", "text": said.words[number]})

    def closing(self, said: Said) -> list[bytes]:
        out = [_end(said.text_index)] if said.words else []
        first = said.text_index + bool(said.words)
        for index, call in enumerate(said.calls, first):
            out.append(_begin(index, {"type": "tool_use", "id": call.call_id, "name": call.name, "input": {}}))
            out += [_grow(index, {"type": "input_json_delta", "partial_json": piece}) for piece in call.pieces]
            out.append(_end(index))
        delta = {"stop_reason": _reason(said), "stop_sequence": None}
        usage = {"output_tokens": said.output_tokens}
        return [
            *out,
            named_event({"type": "message_delta", "delta": delta, "usage": usage}),
            named_event({"type": "message_stop"}),
        ]

    def failure(self, message: str) -> bytes:
        return named_event({"type": "error", "error": {"type": "overloaded_error", "message": message}})

    def error(self, status: int, message: str) -> Any:
        return {"type": "error", "error": {"type": "api_error", "message": message}}


def _message(said: Said) -> dict[str, Any]:
    return {"id": "msg_stub", "type": "message", "role": "assistant", "model": said.model, "stop_sequence": None}


def _blocks(said: Said) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if said.thought:
        blocks.append({"type": "thinking", "thinking": said.thought, "signature": SIGNATURE})
    if said.words:
        blocks.append({"type": "text", "text": said.text})
    return blocks + [
        {"type": "tool_use", "id": call.call_id, "name": call.name, "input": call.arguments} for call in said.calls
    ]


def _begin(index: int, block: dict[str, Any]) -> bytes:
    return named_event({"type": "content_block_start", "index": index, "content_block": block})


def _grow(index: int, delta: dict[str, Any]) -> bytes:
    return named_event({"type": "content_block_delta", "index": index, "delta": delta})


def _end(index: int) -> bytes:
    return named_event({"type": "content_block_stop", "index": index})


def _reason(said: Said) -> str:
    return "tool_use" if said.calls else "max_tokens" if said.cut else "end_turn"


def _usage(said: Said) -> dict[str, int]:
    return {
        "input_tokens": said.fresh_tokens,
        "cache_read_input_tokens": said.cached_tokens,
        "cache_creation_input_tokens": 0,
        "output_tokens": said.output_tokens,
    }
