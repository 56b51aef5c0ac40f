"""Which alerts were published, so that each is published once."""

from collections.abc import Mapping
from typing import Any

from contracts import topics
from contracts.clock import now_ms
from contracts.credit import BalanceChanged, CreditSettingsSet
from libs.database.outbox import Outgoing
from services.metering.core import alerts
from services.metering.core.alerts import Notified


class Alerts:
    """The alerts of all owners."""

    def __init__(self, settings: Mapping[str, CreditSettingsSet]) -> None:
        """
        Args:
            settings: when alerts and top-ups are due, by owner.
        """
        self._settings = settings

    async def due(self, connection: Any, balances: Mapping[str, BalanceChanged]) -> list[Outgoing[Any]]:
        """The events that are due by these balances, each once. Call it in the transaction that enqueues them."""
        outgoing: list[Outgoing[Any]] = []
        for owner in sorted(owner for owner in balances if owner in self._settings):
            row = await connection.fetchrow(
                "insert into ledger.alerts (owner, low_notified, top_up_notified) values ($1, false, false) "
                "on conflict (owner) do update set owner = excluded.owner returning low_notified, top_up_notified",
                owner,
            )
            before = Notified(row["low_notified"], row["top_up_notified"])
            events, after = alerts.due(self._settings[owner], balances[owner], before, now_ms())
            if after != before:
                await connection.execute(
                    "update ledger.alerts set low_notified = $2, top_up_notified = $3 where owner = $1",
                    owner,
                    after.low,
                    after.top_up,
                )
            outgoing += [Outgoing(topics.CREDIT, event) for event in events]
        return outgoing
