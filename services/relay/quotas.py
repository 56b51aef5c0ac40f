"""Counts what an answer used of the gateway's own keys, where those have quotas."""

from contracts.clock import now_ms
from contracts.outcomes import KeyUse
from contracts.routes import RoutePlanned
from libs.config.versions import CatalogVersions
from libs.limits.catalog import amounts_used
from services.relay.core.ending import Ending, target_of, usage_of
from services.relay.core.key_uses import KeyUses


def note_key_use(route: RoutePlanned, ending: Ending, versions: CatalogVersions, uses: KeyUses) -> None:
    """Counts an attempt that has ended; one that called nobody, or with a user's own key, does not count."""
    target = target_of(route, ending)
    if target is None or not ending.attempts or target.grant.byok:
        return
    catalog = versions.find(route.catalog_version)
    provider = catalog.providers.get(target.provider_id) if catalog else None
    if provider is None or not (quotas := provider.quotas):
        return
    variable, _weight = provider.api_key_variables[target.grant.key]
    if variable in quotas:
        now = now_ms()
        usage = usage_of(route, ending, now)
        used = amounts_used(usage, versions.cost(usage).microdollars)
        use = KeyUse(requests=used["requests"], tokens=used["tokens"], microdollars=used["usd"])
        uses.note(target.provider_id, variable, use, now)
