"""Counts of tokens in Converse's shape: Anthropic's, by other names. Pure."""

from contracts.usage import TokenUsage
from libs.chat.providers.anthropic_messages.usage import parse_usage as parse_counts

_NAMES = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheWriteInputTokens")


def parse_usage(usage: object) -> TokenUsage | None:
    """The provider's counts; None where there are none or they make no sense."""
    return parse_counts(usage, _NAMES)
