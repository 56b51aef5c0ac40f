"""What the gateway's own keys at providers were used for: read from ``gateway.provider-key-uses.v1`` (ADR 53)."""

from contracts import topics
from contracts.clock import now_ms
from libs.bus.service import Service
from libs.config.catalog import Catalog
from libs.limits.key_quotas import KeyQuotas
from services.console.core.quota_use import QuotaUse, quota_uses
from services.console.errors import Away


class ProviderKeyUses:
    """The same sums as a vault has."""

    def __init__(self, service: Service) -> None:
        self._quotas = KeyQuotas()
        self._follower = service.follower(topics.PROVIDER_KEY_USES, lambda received: self._quotas.note(received.record))

    def rows(self, catalog: Catalog) -> list[QuotaUse]:
        """Each quota of the catalog, the fullest first. Raises Away where the uses are not read yet."""
        if not self._follower.ready:
            raise Away("what provider keys were used for is not read yet; try again in a moment")
        return quota_uses(self._quotas, catalog, now_ms())

    async def start(self) -> None:
        """Begins to read; the console does not wait for it."""
        await self._follower.start()

    async def stop(self) -> None:
        """Ends reading."""
        await self._follower.stop()
