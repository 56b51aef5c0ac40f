"""OpenAI's completions from before chat, as clients still speak it: a prompt in, text out.

Source: the OpenAI API reference, "Completions". A prompt becomes a user's message. One rule for what the old API has
beside it: what chat has too is translated (``n``, limits, penalties), what can be done here is done (``echo``), and
what would change the answer and cannot be had is refused (tokens, several prompts, ``suffix``, ``logprobs``).
"""

from typing import Any, cast

from libs.chat.completion import ChatRequest, Choice, Chunk, ChunkChoice, Completion, JsonObject
from libs.chat.surfaces.chat.request import wants_usage
from libs.chat.surfaces.chat.stream import DONE
from libs.chat.surfaces.writer import SurfaceError, data_event, text_of

_SAME = (
    *("max_tokens", "temperature", "top_p", "n", "stream", "stream_options", "stop", "seed", "user", "logit_bias"),
    *("presence_penalty", "frequency_penalty"),
)
UNDERSTOOD = frozenset({*_SAME, "model", "prompt", "echo"})


def to_chat(body: JsonObject) -> ChatRequest:
    """See `libs.chat.surfaces.registry.Dialect`."""
    for name, instead in (
        ("suffix", "`/fim/completions` fills a place between two texts"),
        ("logprobs", "`/chat/completions` has them with some models"),
    ):
        if body.get(name):
            raise SurfaceError(f"`{name}` is not to be had of this model; {instead}.")
    if body.get("best_of") not in (None, body.get("n") or 1):
        raise SurfaceError("`best_of` is not to be had of this model; ask for `n`, and choose.")
    message = {"role": "user", "content": prompt_of(body)}
    chat = {name: body[name] for name in _SAME if body.get(name) is not None}
    return cast("ChatRequest", {**chat, "model": body.get("model"), "messages": [message]})


def prompt_of(body: JsonObject) -> str:
    """The prompt of a request that has one.

    Raises:
        SurfaceError: it has several, or tokens, which only the model's own tokenizer could read.
    """
    prompt = body.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if isinstance(prompt, str) and prompt:
        return prompt
    if isinstance(prompt, list) and prompt and all(isinstance(one, str) for one in prompt):
        raise SurfaceError("`prompt` has several texts, and this model takes one at a time; send a request for each.")
    if isinstance(prompt, int | list) and prompt:
        raise SurfaceError("`prompt` is a list of tokens, which mean something else to every model; send the text.")
    raise SurfaceError("`prompt` must be text.")


def whole(answer: Completion, body: JsonObject) -> JsonObject:
    """See `libs.chat.surfaces.registry.Dialect`."""
    before = _echoed(body)
    choices = [
        _choice(choice.get("index"), before + text_of((choice.get("message") or {}).get("content")), choice)
        for choice in answer["choices"]
    ]
    return {**_identity(answer), "choices": choices, **({"usage": answer["usage"]} if "usage" in answer else {})}


class CompletionsWriter:
    """See `libs.chat.surfaces.writer.Writer`."""

    def __init__(self, body: JsonObject) -> None:
        self._usage = wants_usage(body)
        self._echo = _echoed(body)
        self._begun: set[Any] = set()
        """Choices whose prompt was sent."""

    def chunk(self, chunk: Chunk) -> str:
        """See `Writer`. What is no text, a role or a thought, is passed over."""
        choices = []
        for choice in chunk["choices"]:
            index, text = choice.get("index"), text_of((choice.get("delta") or {}).get("content"))
            if self._echo and index not in self._begun:
                self._begun.add(index)
                text = self._echo + text
            if text or choice.get("finish_reason"):
                choices.append(_choice(index, text, choice))
        return data_event({**_identity(chunk), "choices": choices}) if choices else ""

    def finish(self, tail: Chunk | None) -> str:
        """See `Writer`."""
        last = data_event({**_identity(tail), "choices": [], "usage": tail["usage"]}) if tail and self._usage else ""
        return f"{last}data: {DONE}\n\n"


def _echoed(body: JsonObject) -> str:
    return prompt_of(body) if body.get("echo") is True else ""


def _identity(answer: Completion | Chunk) -> JsonObject:
    name = str(answer.get("id", "")).replace("chatcmpl-", "cmpl-", 1)
    return {"id": name, "object": "text_completion", "created": answer.get("created", 0), "model": answer.get("model")}


def _choice(index: Any, text: str, choice: Choice | ChunkChoice) -> JsonObject:
    reason = choice.get("finish_reason")
    # The old API has no tools.
    return {
        "index": index,
        "text": text,
        "logprobs": None,
        "finish_reason": "stop" if reason == "tool_calls" else reason,
    }
