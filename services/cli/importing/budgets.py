"""Budgets and rates of LiteLLM as limits of Sluice. Pure.

Source: LiteLLM's documentation, "Budgets, Rate Limits": ``max_budget`` in US dollars for each ``budget_duration``
(``30s``, ``30m``, ``30h``, ``30d``, ``1mo``), ``tpm_limit``, ``rpm_limit``, ``max_parallel_requests``.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

_RATES = {
    "rpm_limit": "requests_per_minute",
    "tpm_limit": "tokens_per_minute",
    "max_parallel_requests": "concurrent",
}
_WINDOWS = {
    "1h": "hour",
    "60m": "hour",
    "1d": "day",
    "24h": "day",
    "7d": "week",
    "1w": "week",
    "30d": "month",
    "31d": "month",
    "1mo": "month",
}


def limits_of(row: Mapping[str, Any], what: str) -> tuple[dict[str, str | int], list[str]]:
    """The limits of a team, user or key, and what is none here.

    Args:
        what: it is, with its name.
    """
    meters: dict[str, str | int] = {}
    unmapped: list[str] = []
    for field, meter in _RATES.items():
        amount = _number(row.get(field))
        if amount is not None:
            meters[meter] = int(amount)
    budget, every = _number(row.get("max_budget")), row.get("budget_duration")
    if budget is None:
        return meters, unmapped
    window = _WINDOWS.get(str(every))
    if window:
        meters[f"usd_per_{window}"] = f"{budget:.6f}"
        return meters, unmapped
    left = max(Decimal(0), budget - (_number(row.get("spend")) or 0))
    unmapped.append(
        f"{what}: its budget of {budget.normalize():f} USD{f' every {every}' if every else ''}, of which "
        f"{left.normalize():f} are left; "
        + ("limits are by hour, day, week or month" if every else "credit is prepaid: `./sluice credit add … --usd …`")
    )
    return meters, unmapped


def _number(given: Any) -> Decimal | None:
    try:
        amount = None if given is None or isinstance(given, bool) else Decimal(str(given))
    except InvalidOperation:
        return None
    return amount if amount is not None and amount.is_finite() and 0 <= amount < 10**10 else None
