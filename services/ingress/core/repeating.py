"""When a line of a batch is sent again. Pure."""

AGAIN = frozenset({408, 409, 429, 500, 502, 503, 504})
"""What may be otherwise in a while. An end that has cost something comes again as it was (docs/idempotency.md)."""
BUSY = frozenset({429, 503})
"""The gateway or a limit asks for patience; that is no fault of the line's."""
MOST_TRIES = 5
FIRST_S = 1.0
MOST_S = 60.0


def again_after_s(status: int, tries: int, faults: int, retry_after_s: float | None) -> float | None:
    """How long to wait before the line is sent again; None: this is its answer.

    Args:
        tries: how often it has been sent.
        faults: how many of these ended otherwise than in `BUSY`.
        retry_after_s: as the answer says.
    """
    if status not in AGAIN or faults >= MOST_TRIES:
        return None
    return min(MOST_S, max(retry_after_s or 0.0, FIRST_S * 2.0 ** min(tries - 1, 10)))
