"""How many input tokens a request can have, before anybody has counted them. Pure.

No tokenizer makes more tokens than the text has bytes, and the JSON around each message outweighs the few tokens that a
provider adds to it. Media are counted by their size in pixels or seconds, not in bytes.
"""

from dataclasses import dataclass
from typing import Any

MEDIA_TOKENS = 40_000
"""More than any provider counts for one image: 36,835 for the largest of gpt-4o-mini (OpenAI, "Images and vision")."""
_MEDIA = {"image_url": "url", "input_image": "url", "video_url": "url", "input_audio": "data", "file": "file_data"}


@dataclass(frozen=True, slots=True)
class Size:
    """What is known of an input before it is counted."""

    text_bytes: int
    media: int
    """How many images, recordings and files."""

    @property
    def tokens_most(self) -> int:
        """No tokenizer makes more."""
        return self.text_bytes + self.media * MEDIA_TOKENS

    @property
    def tokens_least(self) -> int:
        """No real text has fewer: words of sixteen bytes, one token each."""
        return self.text_bytes // 16

    @property
    def tokens_about(self) -> int:
        """What text usually has."""
        return self.text_bytes // 4


def size_of(messages: list[Any], body_bytes: int) -> Size:
    """The size of a request's input.

    Args:
        messages: of a chat completion, as the client sent them.
        body_bytes: the size of the whole body.
    """
    text_bytes, media = body_bytes, 0
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else ():
            inline = _inline_bytes(part)
            if inline is not None:
                media += 1
                text_bytes -= inline
    return Size(max(text_bytes, 0), media)


def _inline_bytes(part: Any) -> int | None:
    """How much of the body a medium takes; None for what is none."""
    kind = str(part.get("type")) if isinstance(part, dict) else ""
    held = part.get(kind) if kind in _MEDIA else None
    if isinstance(held, str):
        held = {_MEDIA[kind]: held}
    if not isinstance(held, dict):
        return None
    data = held.get(_MEDIA[kind])
    return len(data) if isinstance(data, str) and not data.startswith("http") else 0
