"""Requests of completions from before chat, as chat completions. Pure.

Source: the OpenAI API reference, "Completions". A prompt becomes a user's message. One rule for what the old API has
beside it: what chat has too is translated (``n``, limits, penalties), what can be done here is done (``echo``), and
what would change the answer and cannot be had is refused (tokens, several prompts, ``suffix``, ``logprobs``).
"""

from typing import cast

from libs.chat.shapes.completion import ChatRequest, Fields, Message
from libs.chat.surfaces.writer import SurfaceError

_SAME = (
    *("max_tokens", "temperature", "top_p", "n", "stream", "stream_options", "stop", "seed", "user", "logit_bias"),
    *("presence_penalty", "frequency_penalty"),
)
UNDERSTOOD = frozenset({*_SAME, "model", "prompt", "echo"})


def to_chat(body: Fields) -> ChatRequest:
    """See `libs.chat.surfaces.registry.Dialect`."""
    for name, instead in (
        ("suffix", "`/fim/completions` fills a place between two texts"),
        ("logprobs", "`/chat/completions` has them with some models"),
    ):
        if body.get(name):
            raise SurfaceError(f"`{name}` is not to be had of this model; {instead}.")
    if body.get("best_of") not in (None, body.get("n") or 1):
        raise SurfaceError("`best_of` is not to be had of this model; ask for `n`, and choose.")
    message: Message = {"role": "user", "content": prompt_of(body)}
    chat = {name: body[name] for name in _SAME if body.get(name) is not None}
    return cast("ChatRequest", {**chat, "model": body.get("model"), "messages": [message]})


def prompt_of(body: Fields) -> str:
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


def echoed(body: Fields) -> str:
    """What an answer begins with: the prompt, where the client wants it."""
    return prompt_of(body) if body.get("echo") is True else ""
