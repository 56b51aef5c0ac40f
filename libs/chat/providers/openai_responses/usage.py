"""Counts of tokens in the shape of Responses. Pure."""

from typing import Any

from contracts.usage import TokenUsage, plausible


def parse_usage(usage: Any) -> TokenUsage | None:
    """The provider's counts; None where there are none or they make no sense."""
    if not isinstance(usage, dict):
        return None
    read, written = _details(usage, "input_tokens_details"), _details(usage, "output_tokens_details")
    counts = (
        usage.get("input_tokens"),
        usage.get("output_tokens"),
        read.get("cached_tokens") or 0,
        written.get("reasoning_tokens") or 0,
    )
    if not all(plausible(count) for count in counts):
        return None
    given, output, cached, thought = counts
    return TokenUsage(
        input_tokens=given or 0, output_tokens=output or 0, cache_read_tokens=cached or 0, reasoning_tokens=thought or 0
    )


def _details(usage: dict[str, Any], name: str) -> dict[str, Any]:
    found = usage.get(name)
    return found if isinstance(found, dict) else {}
