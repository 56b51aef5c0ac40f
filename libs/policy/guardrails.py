"""What stands in a request's texts, and what is left of it. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from contracts.guardrails import Guardrails, Kind
from libs.policy.expressions import label, spans
from libs.policy.forms import FORMS, Holds
from libs.pricing.tokenizing import are_tokens

PIECE = 8 * 1024
"""Characters that are searched at a time; others go on in between."""
_TEXTS = ("messages", "input", "prompt", "suffix", "system", "instructions", "query", "documents")
"""Fields of requests that hold texts."""
NO_TEXTS = frozenset(
    {
        "call_id",
        "data",
        "encrypted_content",
        "file_data",
        "file_id",
        "id",
        "image_url",
        "input_audio",
        "name",
        "role",
        "signature",
        "tool_call_id",
        "tool_use_id",
        "type",
        "url",
    }
)
"""Fields within them that are no texts of a person's."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a request is not let in."""

    rule: str
    message: str


class Checked:
    """One request under guardrails. Its texts are searched piece by piece, as the caller has time."""

    def __init__(self, body: dict[str, Any], rules: Guardrails) -> None:
        self.body = body
        """With what is left, once all `steps` are done."""
        self.refused: Refused | None = None
        self.changed = False
        self._rules = rules
        self._words = [word.lower() for word in rules.words_deny]
        self._denied = [pattern for pattern in rules.patterns if pattern.action == "deny"]
        self._replaced = [pattern for pattern in rules.patterns if pattern.action == "redact"]

    def steps(self) -> Iterator[None]:
        """Does the work, and yields now and then; ends early where the request is refused."""
        self._check_tools()
        if self.refused or not self._rules.read_texts:
            return
        for name in _TEXTS:
            if are_tokens(self.body.get(name)):
                self._refuse(self._reading_rule(), "The request has tokens where your organization's rules read text")
                return
            if name in self.body:
                found: list[Any] = [None]
                yield from self._walk(self.body[name], found)
                if self.refused:
                    return
                if self.changed:
                    self.body = {**self.body, name: found[0]}

    def _check_tools(self) -> None:
        allowed = self._rules.tools
        if allowed is None:
            return
        for tool in _names_of_tools(self.body):
            if not allowed.match(tool):
                self._refuse("tools_allow", f"The tool {tool[:64]!r} is not one that your organization allows")
                return

    def _reading_rule(self) -> str:
        """The first rule that reads texts."""
        return next(name for name in ("deny", "redact", "words_deny", "patterns") if getattr(self._rules, name))

    def _refuse(self, rule: str, what: str) -> None:
        self.refused = Refused(f"guardrails.{rule}", f"{what}; its owner can change that.")

    def _walk(self, value: Any, found: list[Any]) -> Iterator[None]:
        """Puts what is left of a value into the list."""
        if isinstance(value, str):
            pieces = []
            for piece in pieces_of(value):
                pieces.append(self._searched(piece))
                if self.refused:
                    return
                yield
            found[0] = "".join(pieces)
        elif isinstance(value, list):
            items = []
            for one in value:
                inner: list[Any] = [None]
                yield from self._walk(one, inner)
                items.append(inner[0])
            found[0] = items
        elif isinstance(value, dict):
            kept = {}
            for name, one in value.items():
                inner = [one]
                if name not in NO_TEXTS:
                    yield from self._walk(one, inner)
                kept[name] = inner[0]
            found[0] = kept
        else:
            found[0] = value

    def _searched(self, text: str) -> str:
        lower = text.lower() if self._words else ""
        for word in self._words:
            if word in lower:
                self._refuse("words_deny", "The request has a text that your organization does not allow")
                return text
        for span in spans(text, self._denied):
            self._refuse(
                f"patterns.{span.pattern.name}", "The request has a text that your organization does not allow"
            )
            return text
        for kind in self._rules.deny:
            form, holds = FORMS[kind]
            if any(holds(match[0]) for match in form.finditer(text)):
                self._refuse("deny", f"The request has what looks like {kind.value.replace('_', ' ')}")
                return text
        for kind, (form, holds) in FORMS.items():
            if kind in self._rules.redact:
                text = form.sub(partial(self._redacted, kind, holds), text)
        for pattern in self._replaced:
            found = list(spans(text, [pattern]))
            self.changed |= bool(found)
            for span in reversed(found):
                text = text[: span.first] + label(pattern) + text[span.last :]
        return text

    def _redacted(self, kind: Kind, holds: Holds, match: re.Match[str]) -> str:
        found = match[0]
        length = holds(found)
        if not length:
            return found
        self.changed = True
        return f"[{kind.value.upper()}]{found[length:]}"


def pieces_of(text: str) -> Iterator[str]:
    """The text in pieces, cut at an end of a line, else where no number or address goes on."""
    at = 0
    while len(text) - at > PIECE:
        end = text.rfind("\n", at, at + PIECE) + 1
        if end <= at:
            end = next((one + 1 for one in range(at + PIECE, at, -1) if _may_cut(text, one)), at + PIECE)
        yield text[at:end]
        at = end
    yield text[at:]


def _may_cut(text: str, at: int) -> bool:
    """After this character; a card's or an account's number may have spaces in it."""
    return text[at].isspace() and text[at - 1] in ".,;:!?"


def _names_of_tools(body: dict[str, Any]) -> Iterator[str]:
    """Of all surfaces; a tool of a provider's own goes by its type."""
    for field in ("tools", "functions"):
        tools = body.get(field)
        for tool in tools if isinstance(tools, list) else ():
            if isinstance(tool, dict):
                function = tool.get("function")
                named = function if isinstance(function, dict) else tool
                yield str(named.get("name") or tool.get("type") or "")
    servers = body.get("mcp_servers")
    for server in servers if isinstance(servers, list) else ():
        yield str(server.get("name") if isinstance(server, dict) else server)
