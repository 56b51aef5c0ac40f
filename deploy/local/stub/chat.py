"""OpenAI's chat completions, and fill-in-the-middle, which answers in the same shape."""

from typing import Any

from deploy.local.stub.said import ANY_TOOL, CREATED_S, Called, Heard, Said, text_in
from deploy.local.stub.speech import EVENTS, data_event


class Chat:
    """See `deploy.local.stub.speech.Speech`."""

    content_type = EVENTS
    call_prefix = "call_stub"

    def hear(self, path: str, body: dict[str, Any]) -> Heard:
        fills = path.endswith("/fim/completions")
        messages = body.get("messages") or []
        prompt = text_in(body["prompt"] if fills else messages[-1].get("content"))
        asked = body.get("stream_options") or {}
        tools = {tool["function"]["name"]: tool["function"].get("parameters") or {} for tool in body.get("tools") or ()}
        return Heard(
            body=body,
            model=str(body.get("model")),
            prompt=prompt,
            characters=sum(len(str(message.get("content") or "")) for message in messages),
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

    def whole(self, said: Said) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": said.text if said.words else None}
        if said.thought:
            message["reasoning_content"] = said.thought
        if said.calls:
            message["tool_calls"] = [_call(call) for call in said.calls]
        choices = [{"index": 0, "message": message, "finish_reason": _reason(said)}]
        answer: dict[str, Any] = {**_identity(said, "chat.completion"), "choices": choices}
        return {**answer, "usage": _usage(said)} if said.counted else answer

    def opening(self, said: Said) -> list[bytes]:
        return [self._chunk(said, {"reasoning_content": said.thought})] if said.thought else []

    def word(self, said: Said, number: int) -> bytes:
        role = {} if number else {"role": "assistant"}
        return self._chunk(said, {**role, "content": said.words[number]})

    def closing(self, said: Said) -> list[bytes]:
        out = [
            self._chunk(said, {"role": "assistant", "tool_calls": [{"index": index, **_call(call)}]})
            for index, call in enumerate(said.calls)
        ]
        out.append(self._chunk(said, {}, _reason(said)))
        if said.counted:
            out.append(data_event({**_identity(said, "chat.completion.chunk"), "choices": [], "usage": _usage(said)}))
        return [*out, b"data: [DONE]\n\n"]

    def failure(self, message: str) -> bytes:
        return data_event(self.error(500, message))

    def error(self, status: int, message: str) -> Any:
        code = "invalid_api_key" if status == 401 else "stub_error"
        return {"error": {"message": message, "type": code, "code": code}}

    def _chunk(self, said: Said, delta: dict[str, Any], reason: str | None = None) -> bytes:
        choices = [{"index": 0, "delta": delta, "finish_reason": reason}]
        return data_event({**_identity(said, "chat.completion.chunk"), "choices": choices})


def _identity(said: Said, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{said.name}", "object": kind, "created": CREATED_S, "model": said.model}


def _choice(choice: Any) -> str | None:
    if isinstance(choice, dict):
        return str(choice["function"]["name"])
    return ANY_TOOL if choice in ("required", "any") else None


def _call(call: Called) -> dict[str, Any]:
    return {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": call.json}}


def _reason(said: Said) -> str:
    return "tool_calls" if said.calls else "length" if said.cut else "stop"


def _usage(said: Said) -> dict[str, Any]:
    return {
        "prompt_tokens": said.input_tokens,
        "completion_tokens": said.output_tokens,
        "total_tokens": said.input_tokens + said.output_tokens,
        **({"prompt_tokens_details": {"cached_tokens": said.cached_tokens}} if said.cached_tokens else {}),
    }
