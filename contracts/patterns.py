"""Names with ``*`` for any text, compiled once and asked often. Pure.

An exact name, or one with its star at the end, is looked up; a star elsewhere is compared piece by piece. Nothing is
ever tried twice, so no pattern takes longer than its own length times the name's.
"""

from collections.abc import Iterable


class Patterns:
    """Some patterns; case does not matter."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._exact: set[str] = set()
        self._beginnings: set[str] = set()
        self._others: set[tuple[str, ...]] = set()
        for pattern in patterns:
            first, *rest = pattern.lower().split("*")
            pieces = [piece for piece in rest if piece]
            if not rest:
                self._exact.add(first)
            elif not pieces:
                self._beginnings.add(first)
            else:
                # An empty last piece: the pattern ends in a star.
                self._others.add((first, *pieces, *([] if rest[-1] else [""])))
        self._lengths = sorted({len(beginning) for beginning in self._beginnings})

    def match(self, name: str) -> bool:
        """True if one of the patterns stands for the name."""
        name = name.lower()
        if name in self._exact or any(name[:length] in self._beginnings for length in self._lengths):
            return True
        return any(_matches(pieces, name) for pieces in self._others)


def _matches(pieces: tuple[str, ...], name: str) -> bool:
    """True if the name begins with the first piece, ends with the last, and has all others between in their order."""
    first, *middle, last = pieces
    if not name.startswith(first):
        return False
    at = len(first)
    for piece in middle:
        at = name.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return len(name) - len(last) >= at and name.endswith(last)
