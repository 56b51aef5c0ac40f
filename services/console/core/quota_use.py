"""How much of the quotas of the gateway's own keys is used. Pure."""

from datetime import datetime

from libs.config.catalog import Catalog
from libs.limits.catalog import METERS, shown_amount
from libs.limits.key_quotas import KeyQuotas
from services.console.answers import Answer, time_of


class QuotaUse(Answer):
    """A quota of one of the gateway's own keys at a provider, and what was used of it in the window that is open."""

    provider: str
    variable: str
    """Of the environment, in which the key vault has the key: it names the key."""
    limit: str
    """As limits are named: ``usd_per_day``."""
    most: str | int
    used: str | int
    """US dollars as a decimal string, requests or tokens."""
    percent: int
    """100 where nothing is left: the key is not used before the window has ended."""
    resets_at: datetime


def quota_uses(quotas: KeyQuotas, catalog: Catalog, now_ms: int) -> list[QuotaUse]:
    """All of them, the fullest first."""
    wanted = {name: provider.quotas for name, provider in catalog.providers.items() if provider.quotas}
    rows = []
    for (provider, variable, limit), used, most in quotas.standing(wanted, now_ms):
        meter = METERS[limit]
        assert meter.window
        rows.append(
            QuotaUse(
                provider=provider,
                variable=variable,
                limit=limit,
                most=shown_amount(meter, most),
                used=shown_amount(meter, used),
                percent=100 if used >= most else 100 * used // most,
                resets_at=time_of(meter.window.end_ms(now_ms)),
            )
        )
    return sorted(rows, key=lambda one: (-one.percent, one.provider, one.variable, one.limit))
