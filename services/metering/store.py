"""The ledger's SQL. An entry is written once; the same record again changes nothing."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import orjson

from contracts import topics
from contracts.charges import ChargePosted
from contracts.clock import now_ms
from contracts.credit import BalanceChanged, CreditOrdered, CreditPosted, CreditSettingsSet, MemberSpent
from contracts.quantities import Quantity
from contracts.usage import UsageRecorded
from libs.database.outbox import Outgoing, enqueue
from libs.database.pool import Database
from services.metering.core.alerts import Notified, due
from services.metering.core.exceeding import exceeded
from services.metering.core.journal import Entry, charged, ordered, owner_of

SCHEMA = "ledger"
MOST_PRICES = 10_000

_ENTRY: tuple[tuple[str, str], ...] = (
    ("entry_id", "uuid"),
    ("kind", "text"),
    ("debit_account", "text"),
    ("credit_account", "text"),
    ("amount_microdollars", "bigint"),
)
_USAGE: tuple[tuple[str, str], ...] = (
    ("owner", "text"),
    ("subject", "text"),
    ("account_id", "text"),
    ("organization_id", "text"),
    ("key_fingerprint", "text"),
    ("surface", "text"),
    ("model", "text"),
    ("provider_id", "text"),
    ("upstream_model", "text"),
    ("outcome", "text"),
    ("status", "integer"),
    ("input_tokens", "bigint"),
    ("output_tokens", "bigint"),
    ("cache_read_tokens", "bigint"),
    ("cache_write_tokens", "bigint"),
    ("reasoning_tokens", "bigint"),
    ("input_image_tokens", "bigint"),
    ("output_image_tokens", "bigint"),
    ("input_audio_tokens", "bigint"),
    ("output_audio_tokens", "bigint"),
    ("quantities", "jsonb"),
    ("estimated", "boolean"),
    ("estimated_from", "text"),
    ("byok", "boolean"),
    ("free", "boolean"),
    ("attempts", "integer"),
    ("tried", "text"),
    ("cost_microdollars", "bigint"),
    ("price_version", "text"),
    ("reserved_microdollars", "bigint"),
    ("accepted_at", "timestamptz"),
    ("ended_at", "timestamptz"),
    ("first_byte_ms", "integer"),
    ("task_id", "text"),
    ("client_version", "text"),
    ("mode", "text"),
)


def _names(columns: Iterable[tuple[str, str]]) -> str:
    return ", ".join(name for name, _ in columns)


# The names and types are the constants above; values travel as parameters.
_INSERT = (
    f"with batch as (select * from unnest({', '.join(f'${i}::{kind}[]' for i, (_, kind) in enumerate((*_ENTRY, *_USAGE), 1))}) "  # noqa: E501, S608
    f"as t ({_names((*_ENTRY, *_USAGE))})), "
    f"written as (insert into ledger.entries ({_names(_ENTRY)}) select {_names(_ENTRY)} from batch "
    "on conflict (entry_id) do nothing returning entry_id) "
    f"insert into ledger.usage (request_id, {_names(_USAGE)}) "
    f"select entry_id, {_names(_USAGE)} from batch join written using (entry_id) returning request_id"
)


@dataclass(frozen=True, slots=True)
class Metered:
    """A usage record, what it costs, and the trace that it belongs to."""

    usage: UsageRecorded
    charge: ChargePosted
    traceparent: str

    @property
    def owner(self) -> str:
        """Whose credit it takes."""
        return owner_of(self.usage.caller)


class Ledger:
    """Writes batches, each in one transaction with its records for the log. Wake the outbox afterwards."""

    def __init__(self, database: Database, settings: Mapping[str, CreditSettingsSet]) -> None:
        """
        Args:
            settings: when alerts and top-ups are due, by owner.
        """
        self._database = database
        self._settings = settings
        self._months: set[date] = set()
        self._prices: set[str] = set()

    async def write(self, batch: Sequence[Metered]) -> None:
        """Enters what is not there yet, and enqueues its charges.

        Raises:
            one of `libs.database.pool.AWAY`: nothing was written, or it was and the answer was lost; write again.
        """
        first: dict[UUID, Metered] = {}
        for metered in batch:
            first.setdefault(UUID(metered.usage.request_id), metered)
        await self._ensure_months(first)
        rows = [
            (request_id, *_entry_values(charged(one.charge, one.owner)), *_usage_values(one))
            for request_id, one in first.items()
        ]
        async with self._database.pool.acquire() as connection, connection.transaction():
            written = await connection.fetch(_INSERT, *map(list, zip(*rows, strict=True)))
            new = [first[row["request_id"]] for row in written]
            await self._note_prices(connection, new)
            balances = await _balances(connection, {one.owner for one in new if one.charge.cost_microdollars})
            spending = await _spending(connection, {_spender(one) for one in new if _is_spending(one.charge)})
            charges = [
                Outgoing(
                    topics.CHARGES,
                    one.charge.model_copy(
                        update={"balance": balances.get(one.owner), "spent": spending.get(_spender(one))}
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
            alerts = await self._alerts(connection, balances)
            await enqueue(connection, SCHEMA, [*charges, *_changes(balances), *sums, *debts, *alerts])

    async def order(self, order: CreditOrdered) -> None:
        """Enters an order of credit, once. Raises as `write` does, and ValueError as `ordered` does."""
        entry = ordered(order)
        await self._ensure_months([UUID(entry.entry_id)])
        async with self._database.pool.acquire() as connection, connection.transaction():
            written = await connection.fetchval(
                f"insert into ledger.entries ({_names(_ENTRY)}, reference, ordered_by) "  # noqa: S608
                "values ($1, $2, $3, $4, $5, $6, $7) on conflict (entry_id) do nothing returning entry_id",
                UUID(entry.entry_id),
                *_entry_values(entry),
                order.reference,
                order.ordered_by,
            )
            if written is None:
                return
            balances = await _balances(connection, {order.owner})
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
            alerts = await self._alerts(connection, balances)
            await enqueue(connection, SCHEMA, [event, *_changes(balances), *alerts])

    async def check(self, owners: set[str]) -> None:
        """Enqueues the alerts that are due by the owners' new settings. Raises as `write` does."""
        async with self._database.pool.acquire() as connection, connection.transaction():
            known = await _balances(connection, owners)
            nothing = {owner: BalanceChanged(owner=owner, balance_microdollars=0, version=0) for owner in owners}
            await enqueue(connection, SCHEMA, await self._alerts(connection, nothing | known))

    async def _ensure_months(self, ids: Iterable[UUID]) -> None:
        for month in sorted({_month(one) for one in ids} - self._months):
            await self._database.pool.execute("select ledger.ensure_month($1)", month)
            self._months.add(month)

    async def _note_prices(self, connection: Any, batch: Sequence[Metered]) -> set[str]:
        new = {
            one.usage.price.version: one.usage.price
            for one in batch
            if one.usage.price and one.usage.price.version not in self._prices
        }
        if new:
            await connection.executemany(
                "insert into ledger.prices (price_version, tiers) values ($1, $2) on conflict do nothing",
                [
                    (version, _json(rates.model_dump(exclude_none=True) for rates in (*price.tiers, *price.units)))
                    for version, price in sorted(new.items())
                ],
            )
        return set(new)

    async def _alerts(self, connection: Any, balances: Mapping[str, BalanceChanged]) -> list[Outgoing[Any]]:
        outgoing: list[Outgoing[Any]] = []
        for owner in sorted(owner for owner in balances if owner in self._settings):
            row = await connection.fetchrow(
                "insert into ledger.alerts (owner, low_notified, top_up_notified) values ($1, false, false) "
                "on conflict (owner) do update set owner = excluded.owner returning low_notified, top_up_notified",
                owner,
            )
            before = Notified(row["low_notified"], row["top_up_notified"])
            events, after = due(self._settings[owner], balances[owner].balance_microdollars, before, now_ms())
            if after != before:
                await connection.execute(
                    "update ledger.alerts set low_notified = $2, top_up_notified = $3 where owner = $1",
                    owner,
                    after.low,
                    after.top_up,
                )
            outgoing += [Outgoing(topics.CREDIT, event) for event in events]
        return outgoing


async def _balances(connection: Any, owners: set[str]) -> dict[str, BalanceChanged]:
    if not owners:
        return {}
    rows = await connection.fetch(
        "select * from ledger.balances where owner = any($1) order by owner for update", list(owners)
    )
    return {row["owner"]: BalanceChanged.model_validate(dict(row)) for row in rows}


def _changes(balances: Mapping[str, BalanceChanged]) -> list[Outgoing[Any]]:
    return [Outgoing(topics.BALANCES, balance) for balance in balances.values()]


Spender = tuple[str, str, date]


def _is_spending(charge: ChargePosted) -> bool:
    return bool(charge.organization_id and charge.account_id and charge.cost_microdollars)


def _spender(metered: Metered) -> Spender:
    return metered.owner, metered.usage.caller.account_id or "", _time(metered.usage.accepted_at_ms).date()


async def _spending(connection: Any, spenders: set[Spender]) -> dict[Spender, MemberSpent]:
    """What members of organizations have spent on the days of this batch, this batch included."""
    if not spenders:
        return {}
    rows = await connection.fetch(
        "select owner, account_id, day, sum(cost_microdollars)::bigint as spent_microdollars from ledger.usage_daily "
        "join unnest($1::text[], $2::text[], $3::date[]) as wanted (owner, account_id, day) "
        "using (owner, account_id, day) group by owner, account_id, day",
        *map(list, zip(*spenders, strict=True)),
    )
    return {(row["owner"], row["account_id"], row["day"]): MemberSpent.model_validate(dict(row)) for row in rows}


async def states(connection: Any) -> AsyncIterator[Outgoing[Any]]:
    """What a new cluster must hold: all balances, and what members have spent today."""
    async for row in connection.cursor("select * from ledger.balances"):
        yield Outgoing(topics.BALANCES, BalanceChanged.model_validate(dict(row)))
    async for row in connection.cursor(
        "select owner, account_id, day, sum(cost_microdollars)::bigint as spent_microdollars from ledger.usage_daily "
        "where day >= (now() at time zone 'UTC')::date and owner like 'org:%' group by owner, account_id, day"
    ):
        yield Outgoing(topics.SPENDING, MemberSpent.model_validate(dict(row)))


def _month(entry_id: UUID) -> date:
    return datetime.fromtimestamp((entry_id.int >> 80) / 1000, UTC).date().replace(day=1)


def _entry_values(entry: Entry) -> tuple[object, ...]:
    return entry.kind, entry.debit_account, entry.credit_account, entry.amount_microdollars


def _usage_values(metered: Metered) -> tuple[object, ...]:
    usage, charge, tokens = metered.usage, metered.charge, metered.usage.tokens
    return (
        metered.owner,
        usage.subject,
        usage.caller.account_id,
        usage.caller.organization_id,
        usage.caller.key_fingerprint,
        usage.surface.value,
        usage.model,
        usage.provider_id,
        usage.upstream_model,
        usage.outcome.value,
        usage.status,
        tokens.input_tokens,
        tokens.output_tokens,
        tokens.cache_read_tokens,
        tokens.cache_write_tokens,
        tokens.reasoning_tokens,
        tokens.input_image_tokens,
        tokens.output_image_tokens,
        tokens.input_audio_tokens,
        tokens.output_audio_tokens,
        _quantities(usage.quantities),
        usage.estimated,
        usage.estimated_from,
        usage.byok,
        usage.free,
        usage.attempts,
        ", ".join(usage.tried) or None,
        charge.cost_microdollars,
        charge.price_version,
        usage.reserved_microdollars,
        _time(usage.accepted_at_ms),
        _time(usage.ended_at_ms),
        usage.first_byte_ms,
        usage.task_id,
        usage.client_version,
        usage.mode,
    )


def _quantities(quantities: Sequence[Quantity]) -> str | None:
    return _json(one.model_dump() for one in quantities) if quantities else None


def _json(values: Iterable[Any]) -> str:
    return orjson.dumps(list(values)).decode()


def _time(epoch_ms: int) -> datetime:
    return datetime.fromtimestamp(epoch_ms / 1000, UTC)
