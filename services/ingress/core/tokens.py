"""Prompts that are tokens, as text: so rules read them, credit is held for them, and any provider takes them. Pure.

Source: the OpenAI API reference, "Completions": ``prompt`` is text, texts, tokens, or lists of tokens.
"""

from collections.abc import Callable, Mapping
from typing import Any

from services.ingress.core.errors import BadRequest


def as_text(body: Mapping[str, Any], decode: Callable[[list[int]], str | None]) -> dict[str, Any]:
    """The body with texts for its tokens.

    Args:
        decode: the model's own tokenizer; None where it has no text for them.

    Raises:
        BadRequest: they are no text.
    """
    prompt = body["prompt"]
    if isinstance(prompt[0], int):
        return {**body, "prompt": _text(prompt, decode)}
    return {**body, "prompt": [_text(one, decode) if isinstance(one, list) else one for one in prompt]}


def _text(tokens: list[int], decode: Callable[[list[int]], str | None]) -> str:
    text = decode(tokens)
    if text is None:
        raise BadRequest("`prompt` has tokens that are no text to this model's tokenizer; send the text.")
    return text
