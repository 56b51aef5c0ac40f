"""How many input tokens a request can have at most, before anybody has counted them. Pure.

No tokenizer makes more tokens than the text has bytes, and the JSON around each message outweighs the few tokens that a
provider adds to it. Media are counted by their size in pixels or seconds, not in bytes.
"""

from typing import Any

MEDIA_TOKENS = 40_000
"""More than any provider counts for one image: 36,835 for the largest of gpt-4o-mini (OpenAI, "Images and vision")."""
_MEDIA = {"image_url": "url", "input_image": "url", "video_url": "url", "input_audio": "data", "file": "file_data"}


def input_tokens_most(messages: list[Any], body_bytes: int) -> int:
    """An upper bound for the tokens of a request's input.

    Args:
        messages: of a chat completion, as the client sent them.
        body_bytes: the size of the whole body.
    """
    most = body_bytes
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        if not isinstance(content, list):
            continue
        for part in content:
            held = part.get(str(part.get("type"))) if isinstance(part, dict) else None
            if isinstance(held, str):
                held = {"url": held}
            name = _MEDIA.get(str(part.get("type"))) if isinstance(held, dict) else None
            if name is None:
                continue
            data = held.get(name) if isinstance(held, dict) else None
            inline = len(data) if isinstance(data, str) and not data.startswith("http") else 0
            most += MEDIA_TOKENS - min(inline, body_bytes)
    return max(most, 0)
