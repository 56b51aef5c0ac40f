"""Whole answers of Google's Gemini. Sans-I/O."""

from typing import cast

from libs.chat.providers.chunks import completion
from libs.chat.providers.gemini.errors import raise_for
from libs.chat.providers.gemini.stream import GeminiReader
from libs.chat.providers.openai_chat.answer import text_bytes
from libs.chat.providers.protocol import Parsed, ProtocolError, parse_object
from libs.chat.shapes.completion import Choice, Delta, Message, ToolCall
from libs.chat.shapes.gemini import GeminiAnswer


def parse_response(data: bytes, *, model: str, created_s: int) -> Parsed:
    """An answer as a chat completion of this time. Raises ProtocolError, ProviderFailure."""
    reader = GeminiReader(model=model, created_s=created_s)
    found = cast("GeminiAnswer", parse_object(data))
    raise_for(found)
    if not isinstance(found.get("candidates"), list) and "promptFeedback" not in found:
        raise ProtocolError("the answer has no candidates")
    choices: dict[int, Choice] = {}
    for chunk in reader.read_object(found):
        for part in chunk["choices"]:
            choice = choices.setdefault(
                part["index"],
                {"index": part["index"], "message": {"role": "assistant", "content": None}, "finish_reason": "stop"},
            )
            _add(choice["message"], part["delta"])
            choice["finish_reason"] = part["finish_reason"] or choice["finish_reason"]
    answer = completion(
        found.get("responseId"), created_s=created_s, model=model, choices=list(choices.values()), usage=reader.usage
    )
    delivered = sum(text_bytes(one, "message") for one in choices.values())
    return Parsed(answer, reader.usage, delivered)


def _add(message: Message, delta: Delta) -> None:
    for name, value in delta.items():
        match name:
            case "tool_calls":
                calls = [{key: part for key, part in call.items() if key != "index"} for call in delta["tool_calls"]]
                message.setdefault(name, []).extend(cast("list[ToolCall]", calls))
            case "content" | "reasoning_content" | "refusal":
                message[name] = str(message.get(name) or "") + str(value)
            case "extra_content":
                message[name] = delta["extra_content"]
