"""What a provider has counted need not be bounded again. Pure.

An agent sends its whole conversation with each turn. What its provider counted of the turns up to one that came before
is known; only what follows is bounded by its bytes. No text that a client chooses can have more than that, as it could
have more than a factor that was learnt from other texts (ADR 40).
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from pydantic_core import to_json

from libs.pricing.bounds import Size, inline_media, size_of

MOST_KNOWN = 20_000
"""Conversations, of 0.4 KB each."""
SLACK_TOKENS = 64
SLACK_PART = 64
"""And one in so many: what providers put around the same turns varies a little, as a date does."""
_SLICE = 65_536
"""Bytes that are digested in one go: less than a millisecond."""
_NEUTRAL = frozenset(
    {
        "cache_control",
        "max_completion_tokens",
        "max_output_tokens",
        "max_tokens",
        "metadata",
        "seed",
        "session_id",
        "stream",
        "stream_options",
        "temperature",
        "top_p",
        "usage",
        "user",
    }
)
"""Fields that bring no tokens in, and may differ from turn to turn."""


@dataclass(frozen=True, slots=True)
class Uncounted:
    """A whole conversation that has been sent."""

    digest: bytes
    tokens_least: int
    """A count of less is not one of all that was sent."""


class Conversation:
    """The input of one request, by the digests of its beginnings."""

    def __init__(self, body: Mapping[str, Any], whose: Sequence[str]) -> None:
        """
        Args:
            body: as the client sent it.
            whose: what beside the body must be the same: owner, model, the headers sent to the provider.
        """
        self._body = body
        self._whose = list(whose)
        self._name = "messages" if "messages" in body else "input"
        turns = body.get(self._name)
        self._turns: list[Any] = turns if isinstance(turns, list) else []
        self._digests: list[bytes] = []
        self._sizes: list[int] = []

    def whole(self, size: Size) -> "Uncounted | None":
        """The whole, of which a provider may say how many tokens it has; None where there are no turns."""
        return Uncounted(self._digests[-1], size.tokens_least) if self._digests else None

    def steps(self) -> Iterator[None]:
        """Digests it, in steps of less than a millisecond or one turn."""
        turns, done = self._turns, 0
        rest = sorted((name, value) for name, value in self._body.items() if name not in (self._name, *_NEUTRAL))
        digest = blake2b(
            to_json([self._whose, self._name, [(name, _plain(value)) for name, value in rest]]), digest_size=16
        )
        for turn in turns:
            text = to_json(_plain(turn))
            digest.update(len(text).to_bytes(8))
            digest.update(text)
            self._digests.append(digest.digest())
            self._sizes.append(len(text))
            done += len(text)
            if done >= _SLICE:
                yield
                done = 0

    def beginnings(self) -> Iterator[tuple[int, bytes]]:
        """So many turns, and their digest; the whole first."""
        for end in range(len(self._digests), 0, -1):
            yield end, self._digests[end - 1]

    def most_after(self, end: int) -> int:
        """The most tokens that the turns after the first ``end`` can have."""
        return size_of({self._name: self._turns[end:]}, sum(self._sizes[end:])).tokens_most


class Counts:
    """What providers have counted, by the digests of conversations."""

    def __init__(self, most: int = MOST_KNOWN) -> None:
        self._most = most
        self._known: OrderedDict[bytes, dict[str, int]] = OrderedDict()

    def note(self, sent: Uncounted, provider_id: str, tokens: int) -> None:
        """A provider has counted so many input tokens of a conversation; never less than it counted before."""
        if tokens < sent.tokens_least:
            return
        known = self._known.setdefault(sent.digest, {})
        known[provider_id] = max(tokens, known.get(provider_id, 0))
        self._known.move_to_end(sent.digest)
        if len(self._known) > self._most:
            self._known.popitem(last=False)

    def most_tokens(self, conversation: Conversation, providers: Set[str]) -> int | None:
        """The most that it can have at any of these providers; None where nothing of it has been counted by all."""
        for end, digest in conversation.beginnings():
            known = self._known.get(digest, {})
            if providers and providers <= known.keys():
                counted = max(known[provider_id] for provider_id in providers)
                return counted + counted // SLACK_PART + SLACK_TOKENS + conversation.most_after(end)
        return None


def is_steady(body: Mapping[str, Any], size: Size) -> bool:
    """The same turns are the same tokens, each time: nothing in them is an address, or left to the provider."""
    if size.open_ended or body.get("truncation") is not None or not _keeps(body.get("context_management")):
        return False
    media = [text for text in inline_media(body) if "://" not in text[:64]]
    return len(media) == size.media


def _keeps(context: Any) -> bool:
    """What a provider leaves out of earlier turns stays out: so thoughts do, results of tools may come back."""
    if context is None:
        return True
    edits = context.get("edits") if isinstance(context, dict) else None
    return isinstance(edits, list) and all(
        isinstance(edit, dict) and str(edit.get("type")).startswith("clear_thinking") for edit in edits
    )


def _plain(value: Any) -> Any:
    """Without what moves from turn to turn and is no tokens: Anthropic's marks of what to cache, for which clients make
    a part of a text."""
    if isinstance(value, list):
        return [_plain(one) for one in value] if any(isinstance(one, dict) for one in value) else value
    if not isinstance(value, dict):
        return value
    plain = {name: one for name, one in value.items() if name != "cache_control"}
    content = plain.get("content")
    if isinstance(content, str):
        plain["content"] = [{"type": "text", "text": content}]
    elif isinstance(content, list):
        plain["content"] = _plain(content)
    return plain
