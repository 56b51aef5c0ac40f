"""Pieces of a stream that differ from the one before in their text alone, as nearly all do. Sans-I/O.

A provider says of each word who it is, when it began, and which choice it speaks in; to read all that and to write it
again was a quarter of the relay's work for a word. What two pieces in a row have become that have different texts, and
the same before and after them, a third becomes, too: JSON is read from left to right, so a text that needs no escapes
changes nothing but itself.
"""

import re
from typing import NamedTuple

_TEXT = re.compile(r'"(?:content|reasoning_content)": ?"([^"\\\x00-\x1f]+)"')
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
TRIES = 20


class _Form(NamedTuple):
    before: str
    after: str
    event_before: str
    event_after: str


class Repeating:
    """Learns from pieces that were read and written whole. For readers and writers that a text does not change."""

    __slots__ = ("_form", "_left", "_sure", "_texts")

    def __init__(self) -> None:
        self._form: _Form | None = None
        """Of the last piece that was learned from."""
        self._texts: list[str] = []
        """Likewise: of two that are the same nobody knows what else would change with the text."""
        self._sure = False
        self._left = TRIES
        """Some streams never repeat: OpenAI's have something random in each piece."""

    def text(self, data: str) -> str | None:
        """What is new in a piece that is as the last ones were; None where more is new than a text."""
        if not self._sure:
            return None
        form = self._form
        assert form
        begin, end = len(form.before), len(data) - len(form.after)
        if end < begin or not data.startswith(form.before) or not data.endswith(form.after):
            return None
        text = data[begin:end]
        return text if _PLAIN.fullmatch(text) else None

    def event(self, text: str) -> str:
        """What the client is sent of such a piece."""
        assert self._form
        return f"{self._form.event_before}{text}{self._form.event_after}"

    def learn(self, data: str, event: str, texts: list[str]) -> None:
        """From a piece, what the client is sent of it, and its texts."""
        if not self._left:
            return
        form = _form(data, event, texts)
        self._sure = form is not None and form == self._form and texts != self._texts
        self._form, self._texts = form, texts
        self._left = TRIES if self._sure else self._left - 1


def _form(data: str, event: str, texts: list[str]) -> _Form | None:
    came, sent = _only_text(data), _only_text(event)
    if not came or not sent or texts != [came[1]] or texts != [sent[1]]:
        return None
    return _Form(data[: came.start(1)], data[came.end(1) :], event[: sent.start(1)], event[sent.end(1) :])


def _only_text(data: str) -> re.Match[str] | None:
    found = _TEXT.search(data)
    return None if found and _TEXT.search(data, found.end()) else found
