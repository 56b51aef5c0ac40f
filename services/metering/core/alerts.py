"""When an owner is to be told of their balance. Pure."""

from dataclasses import dataclass

from contracts.credit import BalanceLow, CreditSettingsSet, TopUpDue


@dataclass(frozen=True, slots=True)
class Told:
    """What an owner has been told since their balance was last above."""

    low: bool = False
    top_up: bool = False


def notice(
    settings: CreditSettingsSet, balance_microdollars: int, told: Told, now_ms: int
) -> tuple[list[BalanceLow | TopUpDue], Told]:
    """What is to be told now, and what has been told then: each once, until the balance is no longer below."""
    low = _below(balance_microdollars, settings.alert_below_microdollars)
    due = settings.top_up_microdollars is not None and _below(balance_microdollars, settings.top_up_below_microdollars)
    events: list[BalanceLow | TopUpDue] = []
    if low and not told.low:
        events.append(
            BalanceLow(
                owner=settings.owner,
                balance_microdollars=balance_microdollars,
                below_microdollars=settings.alert_below_microdollars or 0,
                noticed_at_ms=now_ms,
            )
        )
    if due and not told.top_up:
        events.append(
            TopUpDue(
                owner=settings.owner,
                balance_microdollars=balance_microdollars,
                below_microdollars=settings.top_up_below_microdollars or 0,
                top_up_microdollars=settings.top_up_microdollars or 1,
                noticed_at_ms=now_ms,
            )
        )
    return events, Told(low, due)


def _below(balance: int, threshold: int | None) -> bool:
    return threshold is not None and balance < threshold
