"""``control.catalog.v1``: versions of what is served, for whom and at which price (ADR 26).

A request names the version that it was accepted under, and is served and charged by it, whatever comes meanwhile.
"""

from typing import Annotated, Any

from pydantic import Field

from .prices import PriceRule
from .record import EpochMs, StateRecord, empty

MOST_VERSIONS = 64
"""On the log; the console deletes older ones."""

PriceList = dict[str, dict[str, list[PriceRule]]]
"""By model, then provider. Free models have none."""


class CatalogPublished(StateRecord):
    """One version. It is never changed: what is different is a new one."""

    version: Annotated[int, Field(ge=1)]
    published_at_ms: EpochMs
    document: dict[str, Any]
    """Providers, models, auto-routing, defaults, limits, billing and routing, as `libs.config.document` reads them."""
    prices: PriceList = empty(dict)
    """Complete: whoever reads it looks nothing up elsewhere, so all services have the same."""

    @property
    def state_key(self) -> str:
        return str(self.version)
