"""Whole answers of completions from before chat. Pure.

Source: the OpenAI API reference, "Completions".
"""

from libs.chat.shapes.completion import Choice, Chunk, ChunkChoice, Completion, Fields
from libs.chat.shapes.text_completion import TextChoice, TextCompletion
from libs.chat.surfaces.completions.request import echoed
from libs.chat.surfaces.writer import text_of


def whole(answer: Completion, body: Fields) -> TextCompletion:
    """See `libs.chat.surfaces.registry.Dialect`."""
    before = echoed(body)
    choices = [
        text_choice(choice.get("index", 0), before + text_of((choice.get("message") or {}).get("content")), choice)
        for choice in answer["choices"]
    ]
    found: TextCompletion = {**identity(answer), "choices": choices}
    return {**found, "usage": answer["usage"]} if "usage" in answer else found


def identity(answer: Completion | Chunk) -> TextCompletion:
    """What an answer and all its chunks begin with."""
    name = str(answer.get("id", "")).replace("chatcmpl-", "cmpl-", 1)
    return {"id": name, "object": "text_completion", "created": answer.get("created", 0), "model": answer.get("model")}


def text_choice(index: int, text: str, choice: Choice | ChunkChoice) -> TextChoice:
    """One of an answer's texts, or a piece of one. The old API has no tools."""
    reason = choice.get("finish_reason")
    return {
        "index": index,
        "text": text,
        "logprobs": None,
        "finish_reason": "stop" if reason == "tool_calls" else reason,
    }
