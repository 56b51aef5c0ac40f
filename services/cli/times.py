"""Lifetimes and points in time as people write them: ``90d``, ``2026-11-01T00:00:00Z``."""

import re
from datetime import UTC, datetime, timedelta

from deploy.local.errors import StackError

_DURATION = re.compile(r"^(\d+)([smhdy])$")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "y": 365 * 86400}


def duration_s(text: str) -> int:
    """Seconds of ``90d`` and the like.

    Raises:
        StackError: it is not of that form.
    """
    found = _DURATION.match(text)
    if not found:
        raise StackError(f"a duration is a number and one of s, m, h, d, y, for example 90d; not {text!r}")
    return int(found.group(1)) * _SECONDS[found.group(2)]


def moment(text: str) -> str:
    """An RFC 3339 time: as it is given, or so long before now.

    Raises:
        StackError: neither.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = datetime.now(UTC) - timedelta(seconds=duration_s(text))
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).isoformat()
