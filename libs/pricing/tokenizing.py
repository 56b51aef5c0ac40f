"""OpenAI's tokenizers: how many tokens fewer than bytes the texts of a body have, and what text tokens are. Pure.

Texts are counted by its ranks. All that stands between them, quotes and names and brackets, stays counted by bytes:
it outweighs the few tokens that a provider puts around each message and each tool.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from typing import Any, Protocol

from pydantic_core import to_json

from libs.config.providers import Encoding
from libs.pricing.bounds import inline_media

WORTH_BYTES = 4_096
"""Of a body; smaller ones are held by their bytes, which costs little."""
SLICE = 16_384
"""Characters that are counted in one go: 3 ms, in which no other thread runs (measured: it keeps the GIL)."""
_CUT_TOKENS = 4
"""More than a text has in whole than in two slices, or in two messages than in one."""
_LEAST_TEXT = 16
_LEAST_MEDIUM = 1_024
"""Equal strings that are shorter may be one object, and a medium must not hide text that is equal to it."""
_EACH = 64
"""What looking at one more text costs, in characters counted."""


_ORDINARY: dict[Encoding, int] = {"o200k": 199_998, "cl100k": 100_256}
"""How many tokens stand for text; others are marks, or nothing. Source: tiktoken, ``tiktoken_ext/openai_public.py``."""


class Tokenizer(Protocol):
    """Counts tokens."""

    def count(self, text: str) -> int:
        """How many tokens a text has."""

    def decode(self, tokens: list[int]) -> str:
        """The text of tokens, all of which must be ordinary: others are not checked. Raises ValueError."""


@cache
def tokenizer(encoding: Encoding) -> Tokenizer | None:
    """A tokenizer; None where the package has no wheel for the machine, and bytes remain the bound.

    The first call takes 0.5 s and 67 MiB. The extension is loaded without its package, whose import takes 4 s and
    another 60 MiB, and whose `Encoding` makes lists of all tokens and refuses more than 200,000.
    """
    package = find_spec("bpe_openai")
    spec = PathFinder.find_spec("bpe_openai._bindings", package.submodule_search_locations) if package else None
    if spec is None or spec.loader is None:
        return None
    bindings: Any = module_from_spec(spec)
    spec.loader.exec_module(bindings)
    found: Tokenizer = bindings.tokenizer_for_encoding(f"{encoding}_base")
    return found


def are_tokens(value: Any) -> bool:
    """A list in which numbers, or lists of them, stand for text."""
    return isinstance(value, list) and any(isinstance(one, int) or are_tokens(one) for one in value)


def text_of(tokens: list[int], encoding: Encoding) -> str | None:
    """The text of tokens; None where they are no text of this tokenizer, or it is not there."""
    found = tokenizer(encoding)
    if found is None or not all(type(one) is int and 0 <= one < _ORDINARY[encoding] for one in tokens):
        return None
    try:
        return found.decode(tokens)
    except ValueError:
        return None


def spared_tokens(body: Mapping[str, Any], body_bytes: int, encoding: Encoding = "o200k") -> Iterator[int]:
    """Parts of the sum, one for each few milliseconds of work; nothing where there is no tokenizer.

    Args:
        body: of any surface, as the client sent it; empty where it was not kept, and nothing is known of it.
        body_bytes: its size; what it has more than it needs, escapes and indentation, is no text.
        encoding: the model's own.
    """
    found = tokenizer(encoding)
    if found is None or not body:
        return
    media = {id(text) for text in inline_media(body) if len(text) >= _LEAST_MEDIUM}
    spared, work = max(body_bytes - len(to_json(body)), 0), 0
    for text in _texts(body):
        if id(text) in media:
            continue
        for start in range(0, len(text), SLICE):
            piece = text[start : start + SLICE]
            spared += max(len(piece.encode()) - found.count(piece) - _CUT_TOKENS, 0)
            work += len(piece) + _EACH
            if work >= SLICE:
                yield spared
                spared = work = 0
    yield spared


def _texts(body: Mapping[str, Any]) -> Iterator[str]:
    left: list[Any] = [body]
    while left:
        value = left.pop()
        if isinstance(value, str):
            if len(value) >= _LEAST_TEXT:
                yield value
        elif isinstance(value, Mapping):
            left += value
            left += value.values()
        elif isinstance(value, list):
            left += value
