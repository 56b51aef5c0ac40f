"""Requests of completions from before chat, as chat completions. Pure.

Source: the OpenAI API reference, "Completions". A prompt becomes a user's message; several become as many calls
(`libs.chat.providers.several`). One rule for what the old API has beside it: what chat has too is translated (``n``,
limits, penalties), what can be done here is done (``echo``), and what would change the answer and cannot be had is
refused (``suffix``, ``logprobs``). Tokens become text at the door, where the model's tokenizer is known.
"""

from typing import cast

from libs.chat.shapes.completion import ChatRequest, Fields, Message
from libs.chat.surfaces.writer import SurfaceError

_SAME = (
    *("max_tokens", "temperature", "top_p", "n", "stream", "stream_options", "stop", "seed", "user", "logit_bias"),
    *("presence_penalty", "frequency_penalty"),
)
MOST_PROMPTS = 128
"""Of one request; each is a call of the provider."""
UNDERSTOOD = frozenset({*_SAME, "model", "prompt", "echo"})


def to_chat(body: Fields) -> ChatRequest:
    """See `libs.chat.surfaces.registry.Dialect`. Of several prompts, the first."""
    for name, instead in (
        ("suffix", "`/fim/completions` fills a place between two texts"),
        ("logprobs", "`/chat/completions` has them with some models"),
    ):
        if body.get(name):
            raise SurfaceError(f"`{name}` is not to be had of this model; {instead}.")
    if body.get("best_of") not in (None, body.get("n") or 1):
        raise SurfaceError("`best_of` is not to be had of this model; ask for `n`, and choose.")
    message: Message = {"role": "user", "content": prompts_of(body)[0]}
    chat = {name: body[name] for name in _SAME if body.get(name) is not None}
    return cast("ChatRequest", {**chat, "model": body.get("model"), "messages": [message]})


def prompts_of(body: Fields) -> list[str]:
    """The prompts of a request, one at least.

    Raises:
        SurfaceError: it has none, too many, or tokens, which only the model's own tokenizer could read.
    """
    given = body.get("prompt")
    prompts = given if isinstance(given, list) else [given]
    if len(prompts) > MOST_PROMPTS and isinstance(prompts[0], str):
        raise SurfaceError(f"`prompt` has more than {MOST_PROMPTS} texts, which is the most that this model takes.")
    texts = [one for one in prompts if isinstance(one, str) and one]
    if texts and len(texts) == len(prompts):
        return texts
    if prompts and isinstance(prompts[0], int | list):
        raise SurfaceError("`prompt` is a list of tokens, which mean something else to every model; send the text.")
    raise SurfaceError("`prompt` must be text, or a list of texts.")


def echoed(body: Fields) -> str:
    """What an answer begins with: the prompt, where the client wants it."""
    return prompts_of(body)[0] if body.get("echo") is True else ""
