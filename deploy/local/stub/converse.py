"""AWS Bedrock's Converse, whose streams are frames with checksums instead of server-sent events."""

import json
import struct
import zlib
from typing import Any
from urllib.parse import unquote

import orjson

from deploy.local.stub.answers import ANY_TOOL, SIGNATURE, StubAnswer, StubRequest, text_in


class Converse:
    """See `deploy.local.stub.protocol.StubProtocol`."""

    content_type = b"application/vnd.amazon.eventstream"
    call_prefix = "tooluse_stub"

    def parse(self, path: str, body: dict[str, Any]) -> StubRequest:
        *_, model, method = path.split("/")
        prompt = text_in(body["messages"][-1]["content"])
        form = (body.get("outputConfig") or {}).get("textFormat") or {}
        calling = body.get("toolConfig") or {}
        specified = [tool["toolSpec"] for tool in calling.get("tools") or () if "toolSpec" in tool]
        tools = {tool["name"]: tool["inputSchema"]["json"] for tool in specified}
        choice = calling.get("toolChoice") or {}
        return StubRequest(
            body=body,
            model=unquote(model),
            prompt=prompt,
            characters=len(prompt),
            most_tokens=(body.get("inferenceConfig") or {}).get("maxTokens"),
            streamed=method == "converse-stream",
            tools=tools,
            tool_choice=ANY_TOOL if "any" in choice else (choice.get("tool") or {}).get("name"),
            schema=json.loads(form["structure"]["jsonSchema"]["schema"]) if form else None,
        )

    def whole(self, answer: StubAnswer) -> dict[str, Any]:
        content: list[dict[str, Any]] = []
        if answer.thought:
            content.append({"reasoningContent": {"reasoningText": {"text": answer.thought, "signature": SIGNATURE}}})
        if answer.words:
            content.append({"text": answer.text})
        content += [
            {"toolUse": {"toolUseId": call.call_id, "name": call.name, "input": call.arguments}}
            for call in answer.calls
        ]
        return {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": _reason(answer),
            "usage": _usage(answer),
            "metrics": {"latencyMs": 1},
            **({"serviceTier": {"type": answer.tier}} if answer.tier else {}),
        }

    def opening(self, answer: StubAnswer) -> list[bytes]:
        out = [frame("messageStart", {"role": "assistant"})]
        if answer.thought:
            out.append(_grow(0, {"reasoningContent": {"text": answer.thought}}))
            out.append(_grow(0, {"reasoningContent": {"signature": SIGNATURE}}))
            out.append(frame("contentBlockStop", {"contentBlockIndex": 0}))
        return out

    def word(self, answer: StubAnswer, number: int) -> bytes:
        return _grow(answer.text_index, {"text": answer.words[number]})

    def closing(self, answer: StubAnswer) -> list[bytes]:
        out = [frame("contentBlockStop", {"contentBlockIndex": answer.text_index})] if answer.words else []
        for index, call in enumerate(answer.calls, answer.text_index + bool(answer.words)):
            start = {"toolUse": {"toolUseId": call.call_id, "name": call.name}}
            out.append(frame("contentBlockStart", {"start": start, "contentBlockIndex": index}))
            out += [_grow(index, {"toolUse": {"input": piece}}) for piece in call.pieces]
            out.append(frame("contentBlockStop", {"contentBlockIndex": index}))
        out.append(frame("messageStop", {"stopReason": _reason(answer)}))
        return [*out, frame("metadata", {"usage": _usage(answer), "metrics": {"latencyMs": 1}})]

    def failure(self, message: str) -> bytes:
        return frame("modelStreamErrorException", {"message": message}, kind="exception")

    def error(self, status: int, message: str) -> Any:
        return {"message": message}


def frame(name: str, content: dict[str, Any], kind: str = "event") -> bytes:
    """A message of AWS's event stream: lengths, headers, payload, and two checksums."""
    headers = b"".join(
        struct.pack("!B", len(key)) + key.encode() + struct.pack("!BH", 7, len(value)) + value.encode()
        for key, value in (
            (f":{kind}-type", name),
            (":content-type", "application/json"),
            (":message-type", kind),
        )
    )
    payload = orjson.dumps(content)
    prelude = struct.pack("!II", 12 + len(headers) + len(payload) + 4, len(headers))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + payload
    return message + struct.pack("!I", zlib.crc32(message))


def _grow(index: int, delta: dict[str, Any]) -> bytes:
    return frame("contentBlockDelta", {"delta": delta, "contentBlockIndex": index})


def _reason(answer: StubAnswer) -> str:
    return "tool_use" if answer.calls else "max_tokens" if answer.cut else "end_turn"


def _usage(answer: StubAnswer) -> dict[str, int]:
    return {
        "inputTokens": answer.fresh_tokens,
        "outputTokens": answer.output_tokens,
        "totalTokens": answer.input_tokens + answer.output_tokens,
        "cacheReadInputTokens": answer.cached_tokens,
        "cacheWriteInputTokens": 0,
    }
