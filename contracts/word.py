"""A closed set of words, as texts."""

from enum import StrEnum
from operator import attrgetter
from typing import TYPE_CHECKING


class Word(StrEnum):
    """`enum.StrEnum`, whose ``value`` and hash are found in Python each time: 43 of the 2,600 µs of a request, for a
    record is written with the values of its words, and dictionaries have them as keys. Both are the text's own here."""

    if not TYPE_CHECKING:
        value = property(attrgetter("_value_"))
        __hash__ = str.__hash__
