"""The table of prices: which versions it has."""

from collections.abc import Sequence
from typing import Any

from contracts.prices import Price
from services.metering.store.rows import Metered, as_json

MOST_KNOWN = 10_000


class KnownPrices:
    """The versions that are certainly in the table. Each is written once, and then remembered."""

    def __init__(self) -> None:
        self._versions: set[str] = set()

    async def enter(self, connection: Any, batch: Sequence[Metered]) -> set[str]:
        """Writes the prices that may be missing, and returns their versions: `keep` them after the commit."""
        new: dict[str, Price] = {
            one.price.version: one.price for one in batch if one.price and one.price.version not in self._versions
        }
        if new:
            await connection.executemany(
                "insert into ledger.prices (price_version, tiers) values ($1, $2) on conflict do nothing",
                [
                    (version, as_json(rates.model_dump(exclude_none=True) for rates in (*price.tiers, *price.units)))
                    for version, price in sorted(new.items())
                ],
            )
        return set(new)

    def keep(self, versions: set[str]) -> None:
        """They are committed. Memory stays bounded: with too many, all are looked up anew."""
        if len(self._versions) + len(versions) > MOST_KNOWN:
            self._versions.clear()
        self._versions |= versions
