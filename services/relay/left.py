"""Answers that are read on although their clients have left: a bounded number, each for a bounded part."""

MOST_LEFT = 64
MOST_READ_ON = 256 * 1024
"""Bytes of one answer."""


class Left:
    """How many there are now. Beyond `MOST_LEFT` the connection is closed at once."""

    def __init__(self) -> None:
        self._count = 0

    def enter(self) -> bool:
        """Takes a place; False where there is none."""
        if self._count >= MOST_LEFT:
            return False
        self._count += 1
        return True

    def leave(self) -> None:
        """Gives the place back."""
        self._count -= 1
