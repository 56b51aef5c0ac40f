"""IDs whose first 48 bits are the moment in which they were made, in milliseconds (UUID version 7, RFC 9562)."""

import time

import uuid_utils


def new_id() -> uuid_utils.UUID:
    """An ID of this moment.

    By the clock as it is: a generator that never goes back would, after an hour's jump and return of the clock, date
    all IDs in that hour for an hour.
    """
    return uuid_utils.uuid7(nanoseconds=time.time_ns())


def made_at_ms(id: uuid_utils.UUID) -> int:
    """The moment in it (epoch)."""
    moment: int = id.int >> 80
    return moment
