"""Google's Gemini."""

from typing import Any

from deploy.local.stub.answers import ANY_TOOL, SIGNATURE, StubAnswer, StubRequest, text_in
from deploy.local.stub.protocol import EVENTS, data_event


class Gemini:
    """See `deploy.local.stub.protocol.StubProtocol`."""

    content_type = EVENTS
    call_prefix = "call_stub"

    def parse(self, path: str, body: dict[str, Any]) -> StubRequest:
        model, _, method = path.rpartition("/")[2].partition(":")
        prompt = text_in(body["contents"][-1]["parts"])
        declared = (body.get("tools") or [{"functionDeclarations": []}])[0]["functionDeclarations"]
        tools = {one["name"]: one.get("parametersJsonSchema") or one.get("parameters") or {} for one in declared}
        calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
        choice = (calling.get("allowedFunctionNames") or [ANY_TOOL])[0] if calling.get("mode") == "ANY" else None
        return StubRequest(
            body=body,
            model=model,
            prompt=prompt,
            characters=len(prompt),
            most_tokens=(body.get("generationConfig") or {}).get("maxOutputTokens"),
            streamed=method == "streamGenerateContent",
            tools=tools,
            tool_choice=choice,
            schema=(body.get("generationConfig") or {}).get("responseJsonSchema"),
        )

    def whole(self, answer: StubAnswer) -> dict[str, Any]:
        parts: list[dict[str, Any]] = [{"text": answer.thought, "thought": True}] if answer.thought else []
        parts += [{"text": answer.text}] if answer.words else []
        return _body(answer, parts + _calls(answer), _reason(answer))

    def opening(self, answer: StubAnswer) -> list[bytes]:
        return [data_event(_body(answer, [{"text": answer.thought, "thought": True}]))] if answer.thought else []

    def word(self, answer: StubAnswer, number: int) -> bytes:
        return data_event(_body(answer, [{"text": answer.words[number]}]))

    def closing(self, answer: StubAnswer) -> list[bytes]:
        return [data_event(_body(answer, _calls(answer) or [{"text": ""}], _reason(answer)))]

    def failure(self, message: str) -> bytes:
        return data_event(self.error(503, message))

    def error(self, status: int, message: str) -> Any:
        error: dict[str, Any] = {"code": status, "message": message, "status": "INTERNAL"}
        if status == 401:
            # An unknown key is a bad argument to Google.
            error |= {"code": 400, "status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}
        return {"error": error}


def _body(answer: StubAnswer, parts: list[dict[str, Any]], reason: str | None = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if reason:
        candidate["finishReason"] = reason
    body: dict[str, Any] = {"candidates": [candidate], "modelVersion": answer.model, "responseId": answer.name}
    if answer.counted:
        body["usageMetadata"] = {
            "promptTokenCount": answer.input_tokens,
            "cachedContentTokenCount": answer.cached_tokens,
            "candidatesTokenCount": answer.output_tokens,
            "totalTokenCount": answer.input_tokens + answer.output_tokens,
        }
    return body


def _calls(answer: StubAnswer) -> list[dict[str, Any]]:
    """Only the first of parallel calls is signed."""
    return [
        {
            "functionCall": {"name": call.name, "args": call.arguments},
            **({} if index else {"thoughtSignature": SIGNATURE}),
        }
        for index, call in enumerate(answer.calls)
    ]


def _reason(answer: StubAnswer) -> str:
    return "MAX_TOKENS" if answer.cut else "STOP"
