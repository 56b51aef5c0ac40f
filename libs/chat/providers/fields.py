"""Which fields of a request a provider is sent, and which are named to the client as left out. Pure."""

import re
from collections.abc import Iterable, Mapping

from libs.chat.shapes.completion import ChatRequest, Fields, Tool
from libs.config.providers import Provider

LIMITS = ("max_completion_tokens", "max_tokens")
"""Two names of one thing; a provider takes one of them."""
COMMON = frozenset(
    {
        *LIMITS,
        "prompt_cache_key",
        "reasoning",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "tool_choice",
        "tools",
        "user",
    }
)
"""Fields of a chat completion that every protocol has a form for, or need not have."""
ENVELOPE = frozenset(
    {
        "model",
        "messages",
        "stream",
        "stream_options",
        "store",
        "metadata",
        "usage",
        "tags",
        "cache",
        "models",
        "route",
        "session_id",
    }
)
"""Fields without an effect on the answer."""
GATEWAYS = frozenset({"usage", "transforms", "tags", "cache", "models", "route", "session_id"})
"""Fields that ask a gateway, as OpenRouter and LiteLLM have them; providers refuse them. ``usage`` is honoured
(`ChatWriter`), and so are the others but ``transforms``."""
MOST_NAMED = 20
_NAME = re.compile(r"[A-Za-z0-9_]{1,64}\Z")
_NEUTRAL: Fields = {
    "n": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "truncation": "disabled",
    "parallel_tool_calls": True,
    "include": ["reasoning.encrypted_content"],
}
"""Values that ask for what is so anyway."""


def left_out(body: Fields, kept: Iterable[str]) -> tuple[str, ...]:
    """Fields of a request that ask for something and are not among those that are kept.

    They are named in a header: only names that can stand in one, and not all of many.
    """
    known = ENVELOPE.union(kept)
    found = (name for name, value in body.items() if name not in known and not _asks_nothing(name, value))
    return tuple(sorted(name for name in found if _NAME.match(name))[:MOST_NAMED])


def without_unsupported(body: Fields, provider: Provider) -> dict[str, object]:
    """The fields of a request, on any surface, that are for providers, and that this one does not refuse by name."""
    unsent = GATEWAYS.union(provider.unsupported)
    return {name: value for name, value in body.items() if name not in unsent}


def supported(chat: Fields, provider: Provider) -> dict[str, object]:
    """The fields of a chat completion, or of its kin, that the provider takes."""
    taken = ENVELOPE.union(LIMITS, provider.fields) if provider.fields else chat.keys()
    return {name: value for name, value in without_unsupported(chat, provider).items() if name in taken}


def refused(body: Fields, kept: Fields) -> tuple[str, ...]:
    """Those that it does refuse, and that ask for something."""
    return left_out(body, kept) if len(kept) < len(body) else ()


def _asks_nothing(name: str, value: object) -> bool:
    return value is None or value == _NEUTRAL.get(name, False) or value in ("", [], {})


def limit_of(chat: ChatRequest) -> int | None:
    """The most tokens of an answer, as the client said."""
    return chat.get("max_completion_tokens") or chat.get("max_tokens") or None


def stops_of(chat: ChatRequest) -> list[str]:
    """The texts at which an answer ends, as a list; empty where there are none."""
    stop = chat.get("stop") or []
    return [stop] if isinstance(stop, str) else stop


def functions_of(chat: ChatRequest) -> list[Tool]:
    """The tools that are functions, which all are that a protocol can say."""
    return [tool for tool in chat.get("tools") or () if isinstance(tool.get("function"), dict)]


def named(fields: Fields, names: Mapping[str, str]) -> dict[str, object]:
    """The fields that are given, under the names that the protocol has for them."""
    return {theirs: fields[name] for name, theirs in names.items() if fields.get(name) is not None}
