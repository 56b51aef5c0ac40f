"""What answers may not have, and what is left of them, while they grow. Pure.

A text that grows is held back as far as something could still become of its end: `LOOK_AHEAD` characters, the longest
word that is denied, or the most that an expression of the organization's own can match; an unbroken run of characters
that an address or a key can have, up to `MOST_HELD`; and what has the form already and might go on. So a form that is
found in a whole text is found in a stream of it, however it is cut, unless it is longer than `MOST_HELD`.
"""

from collections.abc import Callable

from contracts.guardrails import AnswerRules
from libs.policy.expressions import MOST_WIDTH, label, spans
from libs.policy.forms import FORMS

LOOK_AHEAD = 64
"""Characters; the longest form with spaces in it, an account's number, has 42."""
MOST_HELD = 8 * 1024
_CONTEXT = 2
"""Characters of what has gone that the forms look back at."""
_RUN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._%+-@"
_MUCH = 1_024
"""Characters; while more are held back, they are searched again only when an eighth more has come."""


class AnswerRefused(Exception):
    """An answer breaks a rule. The message, which names the rule, is for the client."""

    def __init__(self, rule: str, what: str) -> None:
        self.rule = f"guardrails.answers.{rule}"
        super().__init__(f"{what} ({self.rule}); the organization's owner can change that.")


class Growing:
    """One text of an answer."""

    def __init__(self, rules: AnswerRules) -> None:
        self._rules = rules
        self._words = [word.lower() for word in rules.words_deny]
        self._ahead = max([LOOK_AHEAD, *map(len, self._words), *([MOST_WIDTH + 1] if rules.patterns else [])])
        self._before = ""
        self._held = ""
        self._searched = 0
        """How much was held back when it was searched last, and nothing could go."""

    def feed(self, piece: str) -> str:
        """What can go of the text, now that a piece more has come. Raises AnswerRefused."""
        self._held += piece
        return self._release(final=False)

    def end(self) -> str:
        """The rest. Raises AnswerRefused."""
        return self._release(final=True)

    def _release(self, *, final: bool) -> str:
        if not self._held or (not final and _MUCH < len(self._held) < self._searched * 9 // 8):
            return ""
        text, start = self._before + self._held, len(self._before)
        lower = self._held.lower() if self._words else ""
        if any(word in lower for word in self._words):
            raise AnswerRefused("words_deny", "The answer has a text that your organization does not allow")
        end = len(text) if final else _settled(text, start, self._ahead, self._matches)
        if end <= start:
            self._searched = len(self._held)
            return ""
        self._deny(text, start, end)
        out = self._redacted(text, start, end)
        self._before, self._held, self._searched = text[max(0, end - _CONTEXT) : end], text[end:], 0
        return out

    def _matches(self, text: str, start: int) -> list[tuple[int, int]]:
        """All that has a form that matters."""
        kinds = [kind for kind in FORMS if kind in self._rules.redact or kind in self._rules.deny]
        found = [match.span() for kind in kinds for match in FORMS[kind][0].finditer(text, start)]
        return found + [(span.first, span.last) for span in spans(text, self._rules.patterns, start)]

    def _deny(self, text: str, start: int, end: int) -> None:
        for span in spans(text, self._rules.patterns, start):
            if span.pattern.action == "deny" and span.first < end:
                what = "The answer has a text that your organization does not allow"
                raise AnswerRefused(f"patterns.{span.pattern.name}", what)
        for kind in self._rules.deny:
            form, holds = FORMS[kind]
            for match in form.finditer(text, start):
                if match.start() < end and holds(match[0]):
                    what = kind.value.replace("_", " ")
                    raise AnswerRefused("deny", f"The answer has what looks like {what}")

    def _redacted(self, text: str, start: int, end: int) -> str:
        found: list[tuple[int, int, str]] = []
        for kind, (form, holds) in FORMS.items():
            if kind not in self._rules.redact:
                continue
            for match in form.finditer(text, start):
                length = holds(match[0])
                first, last = match.start(), match.start() + length
                if length and first < end and not any(a < last and first < b for a, b, _ in found):
                    found.append((first, min(last, end), f"[{kind.value.upper()}]"))
        for span in spans(text, self._rules.patterns, start):
            first, last = span.first, min(span.last, end)
            if first < end and not any(a < span.last and first < b for a, b, _ in found):
                found.append((first, last, label(span.pattern)))
        out: list[str] = []
        at = start
        for first, last, name in sorted(found):
            out += (text[at:first], name)
            at = last
        return "".join((*out, text[at:end]))


def redacted(text: str, rules: AnswerRules) -> str:
    """A whole text with what is left of it. Raises AnswerRefused."""
    growing = Growing(rules)
    return growing.feed(text) + growing.end()


def check_tool(name: object, rules: AnswerRules) -> None:
    """The model calls a tool of this name. Raises AnswerRefused."""
    if rules.tools is not None and not rules.tools.match(str(name)):
        raise AnswerRefused("tools_allow", f"The tool {str(name)[:64]!r} is not one that your organization allows")


def _settled(text: str, start: int, ahead: int, matches_in: Callable[[str, int], list[tuple[int, int]]]) -> int:
    """How far nothing can become of the text any more, whatever follows."""
    end, before = len(text) - ahead, len(text)
    matches: list[tuple[int, int]] | None = None
    # A form may begin within another: until neither a run nor a form is cut.
    while start < end < before:
        before = end
        if text[end] in _RUN:
            run = len(text[:end].rstrip(_RUN))
            end = run if len(text) - run <= MOST_HELD else end
        if end > start and matches is None:
            matches = matches_in(text, start)
        for first, last in matches or ():
            if first < end < last and len(text) - first <= 2 * MOST_HELD:
                end = first
    return max(end, start)
