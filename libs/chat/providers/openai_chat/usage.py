"""Counts of tokens in the shape of chat completions. Pure."""

from typing import Any

from contracts.usage import TokenUsage, plausible
from libs.chat.shapes.completion import Usage


def parse_usage(usage: object) -> TokenUsage | None:
    """The provider's counts, zero included; None where there are none or they make no sense."""
    if not isinstance(usage, dict):
        return None
    counts = (usage.get("prompt_tokens"), usage.get("completion_tokens"))
    if not all(plausible(count) for count in counts):
        return None
    read = usage.get("prompt_tokens_details")
    written = usage.get("completion_tokens_details")
    return TokenUsage(
        input_tokens=counts[0] or 0,
        output_tokens=counts[1] or 0,
        cache_read_tokens=_count(read, "cached_tokens"),
        cache_write_tokens=_count(read, "cache_write_tokens"),
        reasoning_tokens=_count(written, "reasoning_tokens"),
        input_image_tokens=_count(read, "image_tokens"),
        output_image_tokens=_count(written, "image_tokens"),
        input_audio_tokens=_count(read, "audio_tokens"),
        output_audio_tokens=_count(written, "audio_tokens"),
    )


def usage_json(usage: TokenUsage) -> Usage:
    """Counts in the shape of the protocol; kinds that there are none of are left out."""
    read = {"cached_tokens": usage.cache_read_tokens, "cache_write_tokens": usage.cache_write_tokens}
    written = {"reasoning_tokens": usage.reasoning_tokens}
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        **({"prompt_tokens_details": read} if any(read.values()) else {}),
        **({"completion_tokens_details": written} if any(written.values()) else {}),
    }


def _count(details: object, name: str) -> int:
    value: Any = details.get(name) if isinstance(details, dict) else None
    return value if plausible(value) else 0
