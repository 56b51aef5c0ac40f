"""How long to wait for a receiver that takes nothing."""

FIRST_S = 0.5
MOST_S = 60.0
ASKED_MOST_S = 300.0


def pause_s(failures: int, chance: float, asked_s: float | None = None) -> float:
    """Seconds before the next attempt: twice as long each time, spread over its upper half.

    Args:
        failures: in a row, from 1.
        chance: 0 to 1.
        asked_s: what the receiver asks for; kept up to `ASKED_MOST_S`.
    """
    longest: float = min(FIRST_S * 2 ** min(failures - 1, 20), MOST_S)
    return max(longest * (0.5 + chance / 2), min(asked_s or 0.0, ASKED_MOST_S))
