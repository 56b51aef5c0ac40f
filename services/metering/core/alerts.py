"""Which balance alerts are due. Pure."""

from dataclasses import dataclass

from contracts.credit import BalanceChanged, BalanceLow, CreditSettingsSet, TopUpDue


@dataclass(frozen=True, slots=True)
class Notified:
    """Which events were published since the balance was last above their thresholds."""

    low: bool = False
    top_up: bool = False


def due(
    settings: CreditSettingsSet, balance: BalanceChanged, notified: Notified, now_ms: int
) -> tuple[list[BalanceLow | TopUpDue], Notified]:
    """The events that are due now, and the state after them: each once, until the balance is no longer below."""
    amount = balance.balance_microdollars
    low = _below(amount, settings.alert_below_microdollars)
    top_up = settings.top_up_microdollars is not None and _below(amount, settings.top_up_below_microdollars)
    events: list[BalanceLow | TopUpDue] = []
    if low and not notified.low:
        events.append(
            BalanceLow(
                owner=settings.owner,
                balance_microdollars=amount,
                balance_version=balance.version,
                below_microdollars=settings.alert_below_microdollars or 0,
                noticed_at_ms=now_ms,
            )
        )
    if top_up and not notified.top_up:
        events.append(
            TopUpDue(
                owner=settings.owner,
                balance_microdollars=amount,
                below_microdollars=settings.top_up_below_microdollars or 0,
                top_up_microdollars=settings.top_up_microdollars or 1,
                noticed_at_ms=now_ms,
            )
        )
    return events, Notified(low, top_up)


def _below(balance: int, threshold: int | None) -> bool:
    return threshold is not None and balance < threshold
