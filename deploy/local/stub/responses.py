"""OpenAI's Responses."""

from typing import Any

from deploy.local.stub.answers import ANY_TOOL, CREATED_S, StubAnswer, StubRequest, last_said, text_in
from deploy.local.stub.protocol import EVENTS, named_event


class Responses:
    """See `deploy.local.stub.protocol.StubProtocol`."""

    content_type = EVENTS
    call_prefix = "call_stub"

    def parse(self, path: str, body: dict[str, Any]) -> StubRequest:
        items = body["input"]
        last = items if isinstance(items, str) else _content(last_said(items))
        prompt = text_in(last)
        tools = {
            tool["name"]: tool.get("parameters") or {} for tool in body.get("tools") or () if tool["type"] == "function"
        }
        return StubRequest(
            body=body,
            model=body["model"],
            prompt=prompt,
            characters=len(prompt),
            most_tokens=body.get("max_output_tokens"),
            streamed=bool(body.get("stream")),
            tools=tools,
            tool_choice=_choice(body.get("tool_choice")),
            schema=((body.get("text") or {}).get("format") or {}).get("schema"),
        )

    def whole(self, answer: StubAnswer) -> dict[str, Any]:
        status = "incomplete" if answer.cut else "completed"
        return {
            **_response(answer, status),
            "output": _output(answer),
            "incomplete_details": {"reason": "max_output_tokens"} if answer.cut else None,
            "usage": _usage(answer),
        }

    def opening(self, answer: StubAnswer) -> list[bytes]:
        out = [
            named_event({"type": "response.created", "response": _response(answer, "in_progress")}),
            named_event({"type": "response.in_progress", "response": _response(answer, "in_progress")}),
        ]
        if answer.thought:
            thinking = {"item_id": "rs_stub", "output_index": 0, "summary_index": 0}
            begun = {"type": "summary_text", "text": ""}
            item = {"type": "reasoning", "id": "rs_stub", "summary": []}
            done = _output(answer)[0]
            out += [
                named_event({"type": "response.output_item.added", "output_index": 0, "item": item}),
                named_event({"type": "response.reasoning_summary_part.added", **thinking, "part": begun}),
                named_event({"type": "response.reasoning_summary_text.delta", **thinking, "delta": answer.thought}),
                named_event({"type": "response.output_item.done", "output_index": 0, "item": done}),
            ]
        if answer.words:
            item = {"type": "message", "id": "msg_stub", "role": "assistant", "content": []}
            position = {"output_index": answer.text_index}
            part = {"type": "output_text", "text": "", "annotations": []}
            inner = {"item_id": "msg_stub", **position, "content_index": 0}
            out.append(named_event({"type": "response.output_item.added", **position, "item": item}))
            out.append(named_event({"type": "response.content_part.added", **inner, "part": part}))
        return out

    def word(self, answer: StubAnswer, number: int) -> bytes:
        position = {"item_id": "msg_stub", "output_index": answer.text_index, "content_index": 0}
        return named_event({"type": "response.output_text.delta", **position, "delta": answer.words[number]})

    def closing(self, answer: StubAnswer) -> list[bytes]:
        out: list[bytes] = []
        output, calls = _output(answer), {call.call_id: call for call in answer.calls}
        for index, item in enumerate(output):
            if item["type"] == "function_call":
                begun = {**item, "arguments": "", "status": "in_progress"}
                out.append(named_event({"type": "response.output_item.added", "output_index": index, "item": begun}))
                for piece in calls[item["call_id"]].pieces:
                    position = {"item_id": item["id"], "output_index": index}
                    out.append(
                        named_event({"type": "response.function_call_arguments.delta", **position, "delta": piece})
                    )
            if item["type"] != "reasoning":
                out.append(named_event({"type": "response.output_item.done", "output_index": index, "item": item}))
        whole = self.whole(answer)
        return [*out, named_event({"type": f"response.{whole['status']}", "response": whole})]

    def failure(self, message: str) -> bytes:
        return named_event({"type": "error", "code": "server_error", "message": message, "param": None})

    def error(self, status: int, message: str) -> Any:
        return {"error": {"message": message, "type": "stub_error", "code": None}}


def _content(item: dict[str, Any]) -> Any:
    return item.get("content") or item.get("output")


def _choice(choice: Any) -> str | None:
    if isinstance(choice, dict):
        return str(choice["name"])
    return ANY_TOOL if choice == "required" else None


def _response(answer: StubAnswer, status: str) -> dict[str, Any]:
    return {
        "id": f"resp_{answer.name}",
        "object": "response",
        "created_at": CREATED_S,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": answer.model,
        "output": [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": None,
        **({"service_tier": answer.tier} if answer.tier else {}),
    }


def _output(answer: StubAnswer) -> list[dict[str, Any]]:
    output: list[dict[str, Any]] = []
    if answer.thought:
        summary = [{"type": "summary_text", "text": answer.thought}]
        output.append({"type": "reasoning", "id": "rs_stub", "summary": summary, "encrypted_content": "c2VjcmV0"})
    if answer.words:
        part = {"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}
        output.append(
            {"type": "message", "id": "msg_stub", "role": "assistant", "status": "completed", "content": [part]}
        )
    return output + [
        {
            "type": "function_call",
            "id": f"fc_{call.call_id}",
            "call_id": call.call_id,
            "name": call.name,
            "arguments": call.json,
            "status": "completed",
        }
        for call in answer.calls
    ]


def _usage(answer: StubAnswer) -> dict[str, Any] | None:
    if not answer.counted:
        return None
    return {
        "input_tokens": answer.input_tokens,
        "input_tokens_details": {"cached_tokens": answer.cached_tokens},
        "output_tokens": answer.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": answer.input_tokens + answer.output_tokens,
    }
