"""Google's Gemini."""

from typing import Any

from deploy.local.stub.said import ANY_TOOL, SIGNATURE, Heard, Said, text_in
from deploy.local.stub.speech import EVENTS, data_event


class Gemini:
    """See `deploy.local.stub.speech.Speech`."""

    content_type = EVENTS
    call_prefix = "call_stub"

    def hear(self, path: str, body: dict[str, Any]) -> Heard:
        model, _, method = path.rpartition("/")[2].partition(":")
        prompt = text_in(body["contents"][-1]["parts"])
        declared = (body.get("tools") or [{"functionDeclarations": []}])[0]["functionDeclarations"]
        tools = {one["name"]: one.get("parametersJsonSchema") or one.get("parameters") or {} for one in declared}
        calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
        choice = (calling.get("allowedFunctionNames") or [ANY_TOOL])[0] if calling.get("mode") == "ANY" else None
        return Heard(
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

    def whole(self, said: Said) -> dict[str, Any]:
        parts: list[dict[str, Any]] = [{"text": said.thought, "thought": True}] if said.thought else []
        parts += [{"text": said.text}] if said.words else []
        return _answer(said, parts + _calls(said), _reason(said))

    def opening(self, said: Said) -> list[bytes]:
        return [data_event(_answer(said, [{"text": said.thought, "thought": True}]))] if said.thought else []

    def word(self, said: Said, number: int) -> bytes:
        return data_event(_answer(said, [{"text": said.words[number]}]))

    def closing(self, said: Said) -> list[bytes]:
        return [data_event(_answer(said, _calls(said) or [{"text": ""}], _reason(said)))]

    def failure(self, message: str) -> bytes:
        return data_event(self.error(503, message))

    def error(self, status: int, message: str) -> Any:
        error: dict[str, Any] = {"code": status, "message": message, "status": "INTERNAL"}
        if status == 401:
            # An unknown key is a bad argument to Google.
            error |= {"code": 400, "status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}
        return {"error": error}


def _answer(said: Said, parts: list[dict[str, Any]], reason: str | None = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if reason:
        candidate["finishReason"] = reason
    answer: dict[str, Any] = {"candidates": [candidate], "modelVersion": said.model, "responseId": said.name}
    if said.counted:
        answer["usageMetadata"] = {
            "promptTokenCount": said.input_tokens,
            "cachedContentTokenCount": said.cached_tokens,
            "candidatesTokenCount": said.output_tokens,
            "totalTokenCount": said.input_tokens + said.output_tokens,
        }
    return answer


def _calls(said: Said) -> list[dict[str, Any]]:
    """Only the first of parallel calls is signed."""
    return [
        {
            "functionCall": {"name": call.name, "args": call.arguments},
            **({} if index else {"thoughtSignature": SIGNATURE}),
        }
        for index, call in enumerate(said.calls)
    ]


def _reason(said: Said) -> str:
    return "MAX_TOKENS" if said.cut else "STOP"
