"""The texts of a request and of its answer, for organizations that keep them. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from contracts.contents import ContentsKept
from contracts.guardrails import AnswerRules, Guardrails, Kind
from libs.chat.exact_json import decode, encode
from libs.policy.answers import redacted
from libs.policy.guardrails import NO_TEXTS, Checked

MOST_BYTES = 1024 * 1024
"""Of a prompt or an answer; what is larger is left out."""
LONG = 200
LEFT_OUT = "[left out]"
_FIELDS = ("messages", "input", "prompt", "suffix", "system", "instructions", "query", "documents", "tools")
_WHOLE = ("choices", "content", "output")


class Notes:
    """Follows one answer, as its client is sent it, in any surface."""

    def __init__(self, before: str = "") -> None:
        """
        Args:
            before: of a stream that another relay began: its text so far.
        """
        self._before = before
        self._texts: dict[str, list[str]] = {}
        self._size = len(before)

    def add(self, events: str | bytes) -> None:
        """Some whole events of a stream; recordings have no texts."""
        if isinstance(events, bytes):
            return
        for line in events.splitlines():
            if line.startswith("data: {") and self._size <= MOST_BYTES:
                self._size += len(line)
                for key, text in _of_event(decode(line.removeprefix("data: "))):
                    self._texts.setdefault(key, []).append(text)

    def whole(self, body: str) -> None:
        """An answer that is no stream."""
        self._size += len(body)
        if self._size <= MOST_BYTES and body.startswith("{"):
            found = decode(body)
            self._texts["whole"] = list(_of_whole([found[name] for name in _WHOLE if name in found]))

    def text(self, redact: list[Kind]) -> str | None:
        """All of it, redacted; None where it is too large."""
        if self._size > MOST_BYTES:
            return None
        rules = AnswerRules(redact=redact)
        first, *more = ["".join(pieces) for pieces in self._texts.values()] or [""]
        return "\n".join(redacted(text, rules) for text in (self._before + first, *more))


def prompt_steps(body: Mapping[str, Any], redact: list[Kind], found: list[Any]) -> Iterator[None]:
    """Puts what is kept of a request's body into the list; yields now and then. Files and pictures are left out."""
    kept = {name: _without_files(body[name]) for name in _FIELDS if name in body}
    checked = Checked(kept, Guardrails(redact=redact))
    yield from checked.steps()
    found.append(checked.body if len(encode(checked.body)) <= MOST_BYTES else LEFT_OUT)


def content_of(rules: ContentsKept, prompt: Any, answer: str | None, outcome: str) -> bytes:
    """What is sealed."""
    content: dict[str, Any] = {"outcome": outcome}
    if rules.prompts:
        content["prompt"] = prompt
    if rules.answers:
        content["answer"] = LEFT_OUT if answer is None else answer
    return encode(content).encode()


def _without_files(value: Any, name: str = "") -> Any:
    if isinstance(value, str):
        return LEFT_OUT if (name in NO_TEXTS and len(value) > LONG) or value.startswith("data:") else value
    if isinstance(value, list):
        return [_without_files(one, name) for one in value]
    if isinstance(value, dict):
        return {key: _without_files(one, key) for key, one in value.items()}
    return value


def _of_event(event: Any) -> Iterator[tuple[str, str]]:
    """The texts that an event adds, each with the text that it adds to."""
    delta = event.get("delta")
    if isinstance(delta, str) and str(event.get("type", "")).endswith("text.delta"):
        yield f"{event.get('output_index')}/{event.get('content_index')}", delta
    elif isinstance(delta, dict) and isinstance(delta.get("text"), str):
        yield str(event.get("index")), delta["text"]
    choices = event.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        inner = choice.get("delta")
        text = inner.get("content") if isinstance(inner, dict) else choice.get("text")
        if isinstance(text, str):
            yield str(choice.get("index")), text


def _of_whole(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            yield from _of_whole(one)
    elif isinstance(value, dict):
        for name in ("message", "content", "text"):
            inner = value.get(name)
            if isinstance(inner, str):
                yield inner
            elif inner is not None:
                yield from _of_whole([inner])
