"""What is seen of the quotas of the gateway's own keys."""

from collections.abc import Iterator

from contracts.clock import now_ms
from libs.config.versions import CatalogVersions
from libs.limits.key_quotas import KeyQuotas
from libs.telemetry.instruments import KEY_QUOTA, KEY_USED


def observe_quotas(quotas: KeyQuotas, versions: CatalogVersions) -> None:
    """Shows what was used of each, and what may be."""

    def standing() -> Iterator[tuple[tuple[str, str, str], int, int]]:
        if not versions.ready:
            return iter(())
        providers = versions.newest.providers.items()
        return quotas.standing({name: one.quotas for name, one in providers if one.quotas}, now_ms())

    KEY_USED.observe("quotas", lambda: [(used, labels) for labels, used, _ in standing()])
    KEY_QUOTA.observe("quotas", lambda: [(most, labels) for labels, _, most in standing()])
