"""Counts of tokens in the shape of Responses. Pure."""

from contracts.usage import TokenUsage, plausible


def parse_usage(usage: object) -> TokenUsage | None:
    """The provider's counts; None where there are none or they make no sense."""
    if not isinstance(usage, dict):
        return None
    counts = (
        usage.get("input_tokens"),
        usage.get("output_tokens"),
        _count(usage.get("input_tokens_details"), "cached_tokens"),
        _count(usage.get("output_tokens_details"), "reasoning_tokens"),
    )
    if not all(plausible(count) for count in counts):
        return None
    given, output, cached, thought = counts
    return TokenUsage(
        input_tokens=given or 0, output_tokens=output or 0, cache_read_tokens=cached or 0, reasoning_tokens=thought or 0
    )


def _count(details: object, name: str) -> object:
    return (details.get(name) if isinstance(details, dict) else None) or 0
