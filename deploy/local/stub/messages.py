"""Anthropic's Messages."""

from typing import Any

from deploy.local.stub.answers import ANY_TOOL, SIGNATURE, StubAnswer, StubRequest, last_said, prefix_of, text_in
from deploy.local.stub.protocol import EVENTS, named_event


class Messages:
    """See `deploy.local.stub.protocol.StubProtocol`."""

    content_type = EVENTS
    call_prefix = "toolu_stub"

    def parse(self, path: str, body: dict[str, Any]) -> StubRequest:
        messages, prefix = prefix_of(body["messages"])
        prompt = text_in(last_said(messages)["content"])
        tools = {tool["name"]: tool.get("input_schema") or {} for tool in body.get("tools") or ()}
        choice = body.get("tool_choice") or {}
        return StubRequest(
            body=body,
            model=body.get("model") or _model_in(path),
            prompt=prompt,
            prefix=prefix,
            characters=len(prompt) + len(prefix),
            most_tokens=body["max_tokens"],
            streamed=bool(body.get("stream")),
            tools=tools,
            tool_choice=ANY_TOOL if choice.get("type") == "any" else choice.get("name"),
            schema=((body.get("output_config") or {}).get("format") or {}).get("schema"),
        )

    def whole(self, answer: StubAnswer) -> dict[str, Any]:
        return {**_message(answer), "content": _blocks(answer), "stop_reason": _reason(answer), "usage": _usage(answer)}

    def opening(self, answer: StubAnswer) -> list[bytes]:
        begun = {**_usage(answer), "output_tokens": 1}
        message = {**_message(answer), "content": [], "stop_reason": None, "usage": begun}
        out = [named_event({"type": "message_start", "message": message}), named_event({"type": "ping"})]
        if answer.thought:
            out.append(_begin(0, {"type": "thinking", "thinking": "", "signature": ""}))
            out.append(_grow(0, {"type": "thinking_delta", "thinking": answer.thought}))
            out.append(_grow(0, {"type": "signature_delta", "signature": SIGNATURE}))
            out.append(_end(0))
        if answer.words:
            out.append(_begin(answer.text_index, {"type": "text", "text": ""}))
        return out

    def word(self, answer: StubAnswer, number: int) -> bytes:
        return _grow(answer.text_index, {"type": "text_delta", "text": answer.words[number]})

    def closing(self, answer: StubAnswer) -> list[bytes]:
        out = [_end(answer.text_index)] if answer.words else []
        first = answer.text_index + bool(answer.words)
        for index, call in enumerate(answer.calls, first):
            out.append(_begin(index, {"type": "tool_use", "id": call.call_id, "name": call.name, "input": {}}))
            out += [_grow(index, {"type": "input_json_delta", "partial_json": piece}) for piece in call.pieces]
            out.append(_end(index))
        delta = {"stop_reason": _reason(answer), "stop_sequence": None}
        usage = {"output_tokens": answer.output_tokens}
        return [
            *out,
            named_event({"type": "message_delta", "delta": delta, "usage": usage}),
            named_event({"type": "message_stop"}),
        ]

    def failure(self, message: str) -> bytes:
        return named_event({"type": "error", "error": {"type": "overloaded_error", "message": message}})

    def error(self, status: int, message: str) -> Any:
        return {"type": "error", "error": {"type": "api_error", "message": message}}


def _message(answer: StubAnswer) -> dict[str, Any]:
    return {"id": "msg_stub", "type": "message", "role": "assistant", "model": answer.model, "stop_sequence": None}


def _blocks(answer: StubAnswer) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if answer.thought:
        blocks.append({"type": "thinking", "thinking": answer.thought, "signature": SIGNATURE})
    if answer.words:
        blocks.append({"type": "text", "text": answer.text})
    return blocks + [
        {"type": "tool_use", "id": call.call_id, "name": call.name, "input": call.arguments} for call in answer.calls
    ]


def _begin(index: int, block: dict[str, Any]) -> bytes:
    return named_event({"type": "content_block_start", "index": index, "content_block": block})


def _grow(index: int, delta: dict[str, Any]) -> bytes:
    return named_event({"type": "content_block_delta", "index": index, "delta": delta})


def _end(index: int) -> bytes:
    return named_event({"type": "content_block_stop", "index": index})


def _reason(answer: StubAnswer) -> str:
    return "tool_use" if answer.calls else "max_tokens" if answer.cut else "end_turn"


def _usage(answer: StubAnswer) -> dict[str, int]:
    return {
        "input_tokens": answer.fresh_tokens,
        "cache_read_input_tokens": answer.cached_tokens,
        "cache_creation_input_tokens": 0,
        "output_tokens": answer.output_tokens,
    }


def _model_in(path: str) -> str:
    """Vertex AI has it in the path: ``.../models/<model>:rawPredict``."""
    return path.rpartition("/")[2].partition(":")[0]
