"""Requests and answers of the stub, whatever the protocol. Pure: equal requests have equal answers."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CREATED_S = 1_767_225_600
THOUGHT = "Let me see."
SIGNATURE = "c2ln"
ARGUMENTS = {"city": "Graz"}
ANY_TOOL = "*"
_KNOBS = re.compile(r"\[\[stub ([^\]]*)\]\]")
_WORDS = tuple(
    "the quick gateway counts every token and never loses one of them on its way through the log".split()  # noqa: SIM905
)


class Knobs:
    """The misbehaviour that a request asks for."""

    def __init__(self, text: str) -> None:
        found = _KNOBS.search(text)
        self._values: dict[str, str] = (
            dict(part.partition("=")[::2] for part in found.group(1).split()) if found else {}
        )

    def number(self, name: str, default: int | None = None) -> int | None:
        """A whole number, or the default."""
        value = self._values.get(name, "")
        return int(value) if value.isdigit() else default

    def text(self, name: str) -> str:
        """A word, or nothing."""
        return self._values.get(name, "")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool."""

    call_id: str
    name: str
    arguments: Any

    @property
    def json(self) -> str:
        """The arguments as models write them."""
        return json.dumps(self.arguments, separators=(",", ":"))

    @property
    def pieces(self) -> tuple[str, str]:
        """The same in two parts of a stream."""
        cut = self.json.find(":") + 1
        return self.json[:cut], self.json[cut:]


@dataclass(frozen=True, slots=True)
class StubRequest:
    """A request, whatever its protocol: what matters to an answer."""

    body: dict[str, Any]
    model: str
    prompt: str
    """The text of the last message, but for what `prefix` is."""
    characters: int
    """Of all messages."""
    most_tokens: int | None
    streamed: bool
    tools: Mapping[str, Any]
    """The JSON schemas of their arguments, by name."""
    prefix: str = ""
    """The text of the assistant's message at the end: the answer is what comes after it."""
    counts_wanted: bool = True
    schema: Any = None
    """The JSON schema that the answer is to have, if one was asked for."""
    tool_choice: str | None = None
    """The tool that must be called, or `ANY_TOOL`."""

    @property
    def knobs(self) -> Knobs:
        """What the client, or the model's name, asks for."""
        if self.model.startswith("fails:"):
            return Knobs(f"[[stub {self.model.removeprefix('fails:')}]]")
        return Knobs(self.prompt)


@dataclass(frozen=True, slots=True)
class StubAnswer:
    """An answer."""

    name: str
    """24 hex digits of the prompt."""
    model: str
    words: list[str]
    thought: str
    calls: list[ToolCall]
    cut: bool
    """There would have been more."""
    fresh_tokens: int
    cached_tokens: int
    output_tokens: int
    counted: bool
    tier: str | None = None
    """Of the provider's tiers, where the request named one."""

    @property
    def text(self) -> str:
        """All words."""
        return "".join(self.words)

    @property
    def text_index(self) -> int:
        """Where the words stand, in protocols that number their blocks: after the thoughts."""
        return 1 if self.thought else 0

    @property
    def input_tokens(self) -> int:
        """Fresh and cached."""
        return self.fresh_tokens + self.cached_tokens


def answer_to(request: StubRequest, call_prefix: str) -> StubAnswer:
    """The answer to a request. IDs of calls begin with the prefix."""
    knobs = request.knobs
    calls = _calls(request, call_prefix)
    wanted = knobs.number("chunks", 0 if calls else 8) or 0
    rest = _after(_words(request.prompt, wanted), request.prefix)
    bounded = request.most_tokens and not knobs.text("over")
    most = min(wanted, request.most_tokens or 0) if bounded else wanted
    words = [json.dumps(_instance(request.schema))] if request.schema else rest[:most]
    zero = knobs.text("usage") == "zero"
    return StubAnswer(
        name=hashlib.sha256((request.prompt + request.prefix).encode()).hexdigest()[:24],
        model=request.model,
        words=words,
        thought=THOUGHT if knobs.text("think") else "",
        calls=calls,
        cut=len(words) < len(rest) and not request.schema,
        fresh_tokens=0 if zero else max(1, request.characters // 4),
        cached_tokens=knobs.number("cache", 0) or 0,
        output_tokens=0 if zero else len(words),
        counted=request.counts_wanted and knobs.text("usage") != "none",
        tier=tier_of(request),
    )


def tier_of(request: StubRequest) -> str | None:
    """In which tier the request runs: the one that it names, unless ``tier`` says otherwise."""
    named = request.body.get("service_tier") or (request.body.get("serviceTier") or {}).get("type")
    return request.knobs.text("tier") or str(named) if named else None


def _calls(request: StubRequest, prefix: str) -> list[ToolCall]:
    count = (request.knobs.number("tool", 0) or 0) if request.tools else 0
    first = next(iter(request.tools), "")
    demanded = first if request.tool_choice == ANY_TOOL else request.tool_choice
    if demanded is not None and demanded in request.tools and not count:
        return [ToolCall(f"{prefix}1", demanded, _instance(request.tools[demanded]))]
    name, _, given = request.knobs.text("call").partition(":")
    called, arguments = (name, json.loads(given)) if name in request.tools else (first, ARGUMENTS)
    return [ToolCall(f"{prefix}{number + 1}", called, arguments) for number in range(count)]


def _instance(schema: Any) -> Any:
    """Something of a JSON schema, as far as tests go."""
    match schema.get("type"):
        case "object":
            return {name: _instance(inner) for name, inner in (schema.get("properties") or {}).items()}
        case "array":
            return [_instance(schema.get("items") or {})]
        case "boolean":
            return True
        case "integer" | "number":
            return 1
    return (schema.get("enum") or ["x"])[0]


def last_said(messages: Sequence[Any]) -> Any:
    """The last message that is no instruction: agents put some behind what they are asked."""
    return next((one for one in reversed(messages) if one.get("role") not in ("system", "developer")), messages[-1])


def prefix_of(messages: Sequence[Any]) -> tuple[Sequence[Any], str]:
    """The messages without the assistant's at their end, and its text: the beginning of the answer."""
    if len(messages) > 1 and messages[-1].get("role") == "assistant" and not messages[-1].get("tool_calls"):
        return messages[:-1], text_in(messages[-1].get("content"))
    return messages, ""


def text_in(content: Any) -> str:
    """The text of a message's content, whatever the protocol calls its parts."""
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return str(content or "")


def _after(words: list[str], prefix: str) -> list[str]:
    """The words that follow a beginning of them; all where it is none. It may end within a word."""
    rest = prefix
    for number, word in enumerate(words):
        if not rest:
            return words[number:]
        if not rest.startswith(word):
            return [word.removeprefix(rest), *words[number + 1 :]] if word.startswith(rest) else words
        rest = rest[len(word) :]
    return []


def _words(prompt: str, count: int) -> list[str]:
    start = int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:4], "big")
    chosen = [_WORDS[(start + number) % len(_WORDS)] for number in range(count)]
    return [word if number == 0 else f" {word}" for number, word in enumerate(chosen)]
