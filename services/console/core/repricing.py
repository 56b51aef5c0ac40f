"""Usage that was recorded, at the prices of another version of the catalog. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from contracts.quantities import Quantity
from contracts.requests import is_free
from contracts.usage import TokenUsage
from libs.config.catalog import Catalog
from libs.pricing.charging import UNPRICED, cost_in
from libs.pricing.tiers import at_tier

_TOKENS = tuple(TokenUsage.model_fields)


@dataclass(slots=True)
class Sum:
    """Of one owner and model."""

    requests: int = 0
    charged_microdollars: int = 0
    repriced_microdollars: int = 0


@dataclass(slots=True)
class Repricing:
    """Takes rows of the ledger's usage, one by one."""

    catalog: Catalog
    sums: dict[tuple[str, str], Sum] = field(default_factory=dict)
    unpriced: int = 0
    """Requests whose model has no price in the other version; they stay as they are."""

    def take(self, row: Mapping[str, Any]) -> None:
        """Adds one request."""
        accepted_ms = int(row["accepted_at"].timestamp() * 1000)
        charged: int = row["cost_microdollars"]
        quantities = [Quantity.model_validate(one) for one in orjson.loads(row["quantities"] or "[]")]
        cost = cost_in(
            TokenUsage(**{name: row[name] for name in _TOKENS}),
            quantities,
            at_tier(self.catalog.price(row["model"], row["provider_id"], accepted_ms), row["service_tier"]),
            byok=row["byok"],
            free=is_free(row["model"]),
        )
        repriced = cost.microdollars
        if cost.price_version == UNPRICED:
            self.unpriced += 1
            repriced = charged
        found = self.sums.setdefault((row["owner"], row["model"]), Sum())
        found.requests += 1
        found.charged_microdollars += charged
        found.repriced_microdollars += repriced

    def adjustments(self) -> dict[str, int]:
        """What each owner's credit changes by; below 0 where more was due than was charged."""
        found: dict[str, int] = {}
        for (owner, _model), one in self.sums.items():
            found[owner] = found.get(owner, 0) + one.charged_microdollars - one.repriced_microdollars
        return {owner: amount for owner, amount in found.items() if amount}
