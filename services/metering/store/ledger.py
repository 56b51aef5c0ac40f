"""The journal. An entry is written once; the same record again changes nothing."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from contracts import topics
from contracts.clock import now_ms
from contracts.credit import BalanceChanged, CreditOrdered, CreditPosted, CreditSettingsSet
from libs.database.outbox import Outgoing, enqueue
from libs.database.pool import Database
from services.metering.core.exceeding import exceeded
from services.metering.core.journal import ordered
from services.metering.store.alerts import Alerts
from services.metering.store.prices import KnownPrices
from services.metering.store.rows import ENTRY, INSERT, Metered, entry_values, names_of, row_of
from services.metering.store.sums import balances_of, is_spending, spender_of, spending_of

SCHEMA = "ledger"


class Ledger:
    """Writes batches, each in one transaction with its records for the log. Wake the outbox afterwards."""

    def __init__(self, database: Database, settings: Mapping[str, CreditSettingsSet]) -> None:
        """
        Args:
            settings: when alerts and top-ups are due, by owner.
        """
        self._database = database
        self._alerts = Alerts(settings)
        self._months: set[date] = set()
        self._prices = KnownPrices()

    async def write(self, batch: Sequence[Metered]) -> None:
        """Enters what is not there yet, and enqueues its charges.

        Raises:
            one of `libs.database.pool.AWAY`: nothing was written, or it was and the answer was lost; write again.
        """
        first: dict[UUID, Metered] = {}
        for metered in batch:
            first.setdefault(UUID(metered.usage.request_id), metered)
        await self._ensure_months(first)
        rows = [row_of(request_id, one) for request_id, one in first.items()]
        async with self._database.pool.acquire() as connection, connection.transaction():
            written = await connection.fetch(INSERT, *map(list, zip(*rows, strict=True)))
            new = [first[row["request_id"]] for row in written]
            prices = await self._prices.enter(connection, new)
            balances = await balances_of(connection, {one.owner for one in new if one.charge.cost_microdollars})
            spending = await spending_of(connection, {spender_of(one) for one in new if is_spending(one.charge)})
            charges = [
                Outgoing(
                    topics.CHARGES,
                    one.charge.model_copy(
                        update={"balance": balances.get(one.owner), "spent": spending.get(spender_of(one))}
                    ),
                    one.traceparent,
                )
                for one in new
            ]
            debts = [
                Outgoing(topics.CREDIT, event, one.traceparent)
                for one in new
                if (event := exceeded(one.usage, one.charge, one.owner, balances.get(one.owner)))
            ]
            sums = [Outgoing(topics.SPENDING, spent) for spent in spending.values()]
            alerts = await self._alerts.due(connection, balances)
            await enqueue(connection, SCHEMA, [*charges, *_changes(balances), *sums, *debts, *alerts])
        self._prices.keep(prices)

    async def order(self, order: CreditOrdered) -> None:
        """Enters an order of credit, once. Raises as `write` does, and ValueError as `ordered` does."""
        entry = ordered(order)
        await self._ensure_months([UUID(entry.entry_id)])
        async with self._database.pool.acquire() as connection, connection.transaction():
            written = await connection.fetchval(
                f"insert into ledger.entries ({names_of(ENTRY)}, reference, ordered_by) "  # noqa: S608
                "values ($1, $2, $3, $4, $5, $6, $7) on conflict (entry_id) do nothing returning entry_id",
                UUID(entry.entry_id),
                *entry_values(entry),
                order.reference,
                order.ordered_by,
            )
            if written is None:
                return
            balances = await balances_of(connection, {order.owner})
            posted = CreditPosted(
                entry_id=order.entry_id,
                owner=order.owner,
                kind=order.kind,
                amount_microdollars=order.amount_microdollars,
                balance_microdollars=balances[order.owner].balance_microdollars,
                reference=order.reference,
                posted_at_ms=now_ms(),
            )
            event = Outgoing(topics.CREDIT, posted)
            alerts = await self._alerts.due(connection, balances)
            await enqueue(connection, SCHEMA, [event, *_changes(balances), *alerts])

    async def check(self, owners: set[str]) -> None:
        """Enqueues the alerts that are due by the owners' new settings. Raises as `write` does."""
        async with self._database.pool.acquire() as connection, connection.transaction():
            known = await balances_of(connection, owners)
            nothing = {owner: BalanceChanged(owner=owner, balance_microdollars=0, version=0) for owner in owners}
            await enqueue(connection, SCHEMA, await self._alerts.due(connection, nothing | known))

    async def _ensure_months(self, ids: Iterable[UUID]) -> None:
        for month in sorted({_month(one) for one in ids} - self._months):
            await self._database.pool.execute("select ledger.ensure_month($1)", month)
            self._months.add(month)


def _month(entry_id: UUID) -> date:
    return datetime.fromtimestamp((entry_id.int >> 80) / 1000, UTC).date().replace(day=1)


def _changes(balances: Mapping[str, BalanceChanged]) -> list[Outgoing[Any]]:
    return [Outgoing(topics.BALANCES, balance) for balance in balances.values()]
