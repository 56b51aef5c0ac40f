"""Counts of tokens in the shape of Anthropic's Messages, and of AWS after it. Pure."""

from contracts.usage import TokenUsage, plausible

USAGE = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


def parse_usage(usage: object, names: tuple[str, str, str, str] = USAGE) -> TokenUsage | None:
    """Anthropic, and AWS after it, count cached tokens beside those of the input; ours are part of it.

    Args:
        names: of the counts of fresh input, output, what was read from the cache, and what was written to it.
    """
    if not isinstance(usage, dict):
        return None
    counts = [usage.get(name) or 0 for name in names]
    if usage.get(names[1]) is None or not all(plausible(n) for n in counts):
        return None
    fresh, output, read, written = counts
    return TokenUsage(
        input_tokens=fresh + read + written, output_tokens=output, cache_read_tokens=read, cache_write_tokens=written
    )
