"""How many input tokens a request can have, before anybody has counted them. Pure.

No tokenizer makes more tokens than the text has bytes, and the JSON around each message outweighs the few tokens that a
provider adds to it. Where the model's own tokenizer is known, `libs.pricing.tokenizing` says how many fewer they are.
Media are counted by their size in pixels or seconds, not in bytes. Bodies of all surfaces are measured as they are.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MEDIA_TOKENS = 40_000
"""More than any provider counts for one image: 36,835 for the largest of gpt-4o-mini (OpenAI, "Images and vision")."""
MEDIA_TOKENS_ABOUT = 1_600
"""Of a picture that fills a screen (Anthropic, "Vision")."""
MOST_CONTEXT_TOKENS = 2_097_152
"""More than any model takes (Gemini 1.5 Pro), for what the provider adds to a request without telling how much."""
_MEDIA = {
    "image_url": ("image_url", "url"),
    "input_image": ("image_url",),
    "computer_screenshot": ("image_url",),
    "image_generation_call": ("result",),
    "image": ("source", "data"),
}
"""Where a part of some type has its bytes. Anthropic's sources and the `*_url` parts may be addresses instead."""
_FILES = {
    "video_url": ("video_url", "url"),
    "input_audio": ("input_audio", "data"),
    "file": ("file", "file_data"),
    "input_file": ("file_data",),
    "document": ("source", "data"),
}
"""Pages, minutes and pictures in them that no count of bytes bounds: up to the whole context window."""
_OF_PROVIDER = ("previous_response_id", "conversation", "mcp_servers", "web_search_options")
"""Fields that bring in what the provider keeps or finds; so does a ``prompt`` that is a template, no text."""
_PROMPT_BYTES = 32
"""What is added for each of several prompts, which have no message's JSON around them."""
_PARTS_OF_PROVIDER = ("item_reference", "container_upload")
_CLIENT_TOOLS = ("function", "custom", "local_shell", "apply_patch", "bash_", "text_editor_", "computer", "memory_")
"""What types of tools begin with that the client runs; others' results do not come from the client."""


@dataclass(frozen=True, slots=True)
class Size:
    """What is known of an input before it is counted."""

    text_bytes: int
    media: int
    """How many images, recordings and files."""
    file_bytes: int = 0
    """Of files in the body, which are text to some tokenizers and pages to others."""
    open_ended: bool = False
    """The provider adds to it: what it keeps, what an address leads to, or what a tool of its own finds."""
    spared_tokens: int = 0
    """How many fewer than bytes the text certainly has; see `libs.pricing.tokenizing`."""
    prompts: int = 1
    """Of the old completions API, or texts to embed: each has the model's context window to itself."""
    counted_most: int | None = None
    """The most by what its provider has counted of its beginning, where that is known."""

    @property
    def tokens_most(self) -> int:
        """No tokenizer makes more."""
        text = max(self.text_bytes - self.spared_tokens, 0)
        known = text + self.file_bytes + self.media * MEDIA_TOKENS
        if self.open_ended:
            return max(known, MOST_CONTEXT_TOKENS)
        return known if self.counted_most is None else min(known, self.counted_most)

    @property
    def tokens_least(self) -> int:
        """No real text has fewer: words of sixteen bytes, one token each."""
        return self.text_bytes // 16

    def may_fit(self, window: int | None) -> bool:
        """A context window of so many tokens may hold it; None: it is not known."""
        return window is None or self.tokens_least <= window * self.prompts

    @property
    def tokens_about(self) -> int:
        """What text, images and files usually have."""
        return self.text_bytes // 4 + self.file_bytes // 16 + self.media * MEDIA_TOKENS_ABOUT


def size_of(body: Mapping[str, Any], body_bytes: int) -> Size:
    """The size of a request's input.

    Args:
        body: of any surface, as the client sent it.
        body_bytes: its size.
    """
    media = media_bytes = file_bytes = 0
    open_ended = any(body.get(name) is not None for name in _OF_PROVIDER) or isinstance(body.get("prompt"), dict)
    open_ended |= any(not is_the_clients(tool) for tool in _objects(body.get("tools")))
    for part in parts_of(body):
        kind = str(part.get("type"))
        if kind in _MEDIA:
            media += 1
            media_bytes += _inline_bytes(part, _MEDIA[kind]) or 0
        elif kind in _FILES and not _is_text(part):
            found = _inline_bytes(part, _FILES[kind])
            media, file_bytes, open_ended = media + 1, file_bytes + (found or 0), True
        open_ended |= kind in _PARTS_OF_PROVIDER
    prompts = _several(body.get("prompt"))
    text_bytes = max(body_bytes - media_bytes - file_bytes, 0) + _PROMPT_BYTES * (prompts - 1)
    return Size(text_bytes, media, file_bytes, open_ended, prompts=max(prompts, _several(body.get("input"))))


def _several(given: Any) -> int:
    """How many texts, or lists of tokens, there are; 1 for anything else."""
    return len(given) if isinstance(given, list) and given and isinstance(given[0], str | list) else 1


def inline_media(body: Mapping[str, Any]) -> Iterator[str]:
    """The media and files in a body that `size_of` does not count as text."""
    for part in parts_of(body):
        kind = str(part.get("type"))
        path = _MEDIA.get(kind) or (None if _is_text(part) else _FILES.get(kind))
        held = _inline(part, path) if path else None
        if held is not None:
            yield held


def parts_of(body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What messages and items consist of, and nothing else: what only looks like an image is text to the model."""
    for turns in (body.get("messages"), body.get("input")):
        for turn in _objects(turns):
            yield turn
            for held in (turn.get("content"), turn.get("output")):
                for part in _objects([held] if isinstance(held, dict) else held):
                    yield part
                    if part.get("type") == "tool_result":
                        yield from _objects(part.get("content"))


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    return (one for one in value if isinstance(one, dict)) if isinstance(value, list) else iter(())


def _is_text(part: dict[str, Any]) -> bool:
    source = part.get("source")
    return isinstance(source, dict) and source.get("type") in ("text", "content")


def is_the_clients(tool: dict[str, Any]) -> bool:
    """The client runs the tool, and pays for what it does."""
    kind = tool.get("type")
    return kind is None or tool.get("execution") == "client" or str(kind).startswith(_CLIENT_TOOLS)


def _inline_bytes(part: dict[str, Any], path: tuple[str, ...]) -> int | None:
    """How much of the body a medium takes; None where its bytes are elsewhere."""
    held = _inline(part, path)
    return None if held is None else len(held)


def _inline(part: dict[str, Any], path: tuple[str, ...]) -> str | None:
    held: Any = part
    for name in path:
        held = held.get(name) if isinstance(held, dict) else held
    return held if isinstance(held, str) and not held.startswith("http") else None
