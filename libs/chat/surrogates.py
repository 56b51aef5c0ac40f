"""Halves of characters beyond 16 bits. Pure.

JavaScript counts text in UTF-16: programs in it cut streams between the two surrogates of a character, and write each
as an escape of its own. JSON allows that; UTF-8 has no form for it.
"""

import re
from collections.abc import Callable

LONE = "\N{REPLACEMENT CHARACTER}"
Key = tuple[object, ...]
SURROGATE = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
"""The escape of one half."""


def may_have_halves(text: str) -> bool:
    """Whether JSON has an escape of a surrogate: both halves of a character, or one."""
    return "\\u" in text and SURROGATE.search(text) is not None


def whole(text: str) -> str:
    """The text with halves side by side joined, and lone ones replaced."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def all_whole(value: object) -> object:
    """JSON's value with every string made `whole`."""
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, list):
        return [all_whole(item) for item in value]
    if isinstance(value, dict):
        return {all_whole(name): all_whole(item) for name, item in value.items()}
    return value


class Halves:
    """First halves that are held back until the texts that they end go on."""

    def __init__(self) -> None:
        self._held: dict[Key, str] = {}

    def __bool__(self) -> bool:
        return bool(self._held)

    def join(self, key: Key, text: str) -> str:
        """What can be sent now of a text that grows; ``key`` says which one it is."""
        text = self._held.pop(key, "") + text
        if text and "\ud800" <= text[-1] <= "\udbff":
            self._held[key], text = text[-1], text[:-1]
        return whole(text)

    def end(self, ended: Callable[[Key], bool]) -> list[Key]:
        """Forgets the texts that have ended; returns those whose last half stays alone."""
        alone = [key for key in self._held if ended(key)]
        for key in alone:
            del self._held[key]
        return alone
