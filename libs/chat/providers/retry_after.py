"""When a provider wants to be asked again: ``Retry-After``, seconds or a date (RFC 9110, sections 10.2.3 and 5.6.7)."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import ceil

MOST_S = 3600
_MOST_CHARACTERS = 100


def retry_after_s(header: str | None, now: datetime) -> int | None:
    """Seconds to wait, at most an hour; 0 for a date that is past. None where the header is missing or is neither form.

    Args:
        header: its value.
        now: with a time zone.
    """
    if header is None or len(header) > _MOST_CHARACTERS or not header.isascii():
        return None
    text = header.strip()
    if text.isdigit():
        return min(int(text), MOST_S)
    try:
        then = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    # A zone of -0000 is read as none.
    wait_s = ((then if then.tzinfo else then.replace(tzinfo=UTC)) - now).total_seconds()
    return ceil(min(max(wait_s, 0), MOST_S))
