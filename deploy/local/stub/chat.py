"""OpenAI's chat completions, and fill-in-the-middle, which answers in the same shape."""

from typing import Any

from deploy.local.stub.answers import (
    ANY_TOOL,
    CREATED_S,
    StubAnswer,
    StubRequest,
    ToolCall,
    last_said,
    prefix_of,
    text_in,
)
from deploy.local.stub.protocol import EVENTS, data_event


class Chat:
    """See `deploy.local.stub.protocol.StubProtocol`."""

    content_type = EVENTS
    call_prefix = "call_stub"

    def parse(self, path: str, body: dict[str, Any]) -> StubRequest:
        fills = path.endswith("/fim/completions")
        messages, prefix = prefix_of(body.get("messages") or [])
        prompt = text_in(body["prompt"] if fills else last_said(messages).get("content"))
        asked = body.get("stream_options") or {}
        tools = {tool["function"]["name"]: tool["function"].get("parameters") or {} for tool in body.get("tools") or ()}
        return StubRequest(
            body=body,
            model=str(body.get("model")),
            prompt=prompt,
            prefix=prefix,
            characters=sum(len(str(message.get("content") or "")) for message in messages) + len(prefix),
            most_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
            streamed=bool(body.get("stream")),
            tools=tools,
            tool_choice=_choice(body.get("tool_choice")),
            # Mistral, and who else fills in the middle, always gives counts.
            counts_wanted=fills
            or "/as/mistral/" in path
            or "/as/codestral/" in path
            or not body.get("stream")
            or bool(asked.get("include_usage")),
            schema=((body.get("response_format") or {}).get("json_schema") or {}).get("schema"),
        )

    def whole(self, answer: StubAnswer) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": answer.text if answer.words else None}
        if answer.thought:
            message["reasoning_content"] = answer.thought
        if answer.calls:
            message["tool_calls"] = [_call(call) for call in answer.calls]
        choices = [{"index": 0, "message": message, "finish_reason": _reason(answer)}]
        body: dict[str, Any] = {**_identity(answer, "chat.completion"), "choices": choices}
        return {**body, "usage": _usage(answer)} if answer.counted else body

    def opening(self, answer: StubAnswer) -> list[bytes]:
        return [self._chunk(answer, {"reasoning_content": answer.thought})] if answer.thought else []

    def word(self, answer: StubAnswer, number: int) -> bytes:
        role = {} if number else {"role": "assistant"}
        return self._chunk(answer, {**role, "content": answer.words[number]})

    def closing(self, answer: StubAnswer) -> list[bytes]:
        out = [
            self._chunk(answer, {"role": "assistant", "tool_calls": [{"index": index, **_call(call)}]})
            for index, call in enumerate(answer.calls)
        ]
        out.append(self._chunk(answer, {}, _reason(answer)))
        if answer.counted:
            out.append(
                data_event({**_identity(answer, "chat.completion.chunk"), "choices": [], "usage": _usage(answer)})
            )
        return [*out, b"data: [DONE]\n\n"]

    def failure(self, message: str) -> bytes:
        return data_event(self.error(500, message))

    def error(self, status: int, message: str) -> Any:
        code = "invalid_api_key" if status == 401 else "stub_error"
        return {"error": {"message": message, "type": code, "code": code}}

    def _chunk(self, answer: StubAnswer, delta: dict[str, Any], reason: str | None = None) -> bytes:
        choices = [{"index": 0, "delta": delta, "finish_reason": reason}]
        return data_event({**_identity(answer, "chat.completion.chunk"), "choices": choices})


def _identity(answer: StubAnswer, kind: str) -> dict[str, Any]:
    tier = {"service_tier": answer.tier} if answer.tier else {}
    return {"id": f"chatcmpl-{answer.name}", "object": kind, "created": CREATED_S, "model": answer.model, **tier}


def _choice(choice: Any) -> str | None:
    if isinstance(choice, dict):
        return str(choice["function"]["name"])
    return ANY_TOOL if choice in ("required", "any") else None


def _call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": call.json}}


def _reason(answer: StubAnswer) -> str:
    return "tool_calls" if answer.calls else "length" if answer.cut else "stop"


def _usage(answer: StubAnswer) -> dict[str, Any]:
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
        **({"prompt_tokens_details": {"cached_tokens": answer.cached_tokens}} if answer.cached_tokens else {}),
    }
