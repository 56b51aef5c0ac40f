"""Times that an operator names, as the log counts them. Pure."""

from datetime import datetime

from services.console.errors import BadInput


def since_ms(moment: datetime) -> int:
    """Epoch, ms. Whatever is before 1970 is its beginning: Kafka takes no time before it, and no record is older.

    Raises:
        BadInput: it has no zone.
    """
    if moment.tzinfo is None:
        raise BadInput("times need a zone, for example 2026-11-25T00:00:00Z")
    return max(0, int(moment.timestamp() * 1000))
