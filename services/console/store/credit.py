"""Credit: ordered here, entered by metering, read from its ledger."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from contracts import topics
from contracts.clock import now_ms
from contracts.credit import CreditKind, CreditOrdered, CreditSettingsSet
from libs.database.pool import Connection
from libs.ids import new_id
from libs.pricing.usd import usd
from services.console.answers import Answer
from services.console.core.authorization import Actor
from services.console.core.records import organization_of
from services.console.errors import Conflict
from services.console.outbox import enqueue
from services.console.store.audit import note

MOST_ENTRIES = 20
_THRESHOLDS = ("alert_below", "top_up_below", "top_up")


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be entered."""

    kind: CreditKind
    amount_microdollars: int
    reference: str


class Ordered(Answer):
    """An order that metering will enter; `GET` shows its entry then."""

    id: str
    owner: str
    usd: str


class CreditEntry(Answer):
    """An entry of the ledger that is no charge."""

    id: str
    kind: CreditKind
    usd: str
    """Below 0 where it took credit."""
    reference: str | None
    by: str | None
    at: datetime


class Thresholds(Answer):
    """When alerts and top-ups are due, in US dollars."""

    alert_below: str | None
    top_up_below: str | None
    top_up: str | None


class OwnedThresholds(Thresholds):
    """The same, and whose they are."""

    owner: str

    @property
    def digest(self) -> str:
        """Another one for other settings: they are edited whole, and have no versions."""
        return sha256(self.model_dump_json().encode()).hexdigest()[:16]


class Credit(Answer):
    """What is left, and what was entered."""

    owner: str
    balance: str
    """US dollars."""
    balance_microdollars: int
    settings: Thresholds | None
    entries: list[CreditEntry]
    """The newest that are no charges."""


async def order(
    connection: Connection,
    actor: Actor,
    owner: str,
    wanted: Order,
    idempotency_key: str | None,
    *,
    overdraws: bool = False,
) -> Ordered:
    """Orders an entry, in the caller's transaction; the same idempotency key again gives the same entry.

    Args:
        overdraws: it may take more than there is: what is due is due.

    Raises:
        Conflict: the key came with another order before, or more would be taken than there is.
    """
    entry_id = str(new_id())
    key = idempotency_key or entry_id
    await connection.execute("select pg_advisory_xact_lock(hashtext($1))", f"credit {owner}")
    known = await connection.fetchrow(
        "select entry_id, kind, amount_microdollars from control.credit_orders "
        "where owner = $1 and idempotency_key = $2",
        owner,
        key,
    )
    if known:
        if (known["kind"], known["amount_microdollars"]) != (wanted.kind.value, wanted.amount_microdollars):
            raise Conflict("this Idempotency-Key came with another order before; use a new one")
        return Ordered(id=str(known["entry_id"]), owner=owner, usd=usd(known["amount_microdollars"]))
    if wanted.amount_microdollars < 0 and not overdraws:
        left = await balance_of(connection, owner)
        if left + wanted.amount_microdollars < 0:
            raise Conflict(f"there are only {usd(left)} USD left to take")
    await connection.execute(
        "insert into control.credit_orders (owner, idempotency_key, entry_id, kind, amount_microdollars, reference) "
        "values ($1, $2, $3, $4, $5, $6)",
        owner,
        key,
        UUID(entry_id),
        wanted.kind.value,
        wanted.amount_microdollars,
        wanted.reference,
    )
    record = CreditOrdered(
        entry_id=entry_id,
        owner=owner,
        kind=wanted.kind,
        amount_microdollars=wanted.amount_microdollars,
        reference=wanted.reference,
        ordered_by=actor.name,
        ordered_at_ms=now_ms(),
    )
    await enqueue(connection, topics.ORDERS, record)
    await note(
        connection,
        actor,
        f"credit.{wanted.kind.value}",
        owner,
        organization_id=organization_of(owner),
        entry=entry_id,
        usd=usd(wanted.amount_microdollars),
    )
    return Ordered(id=entry_id, owner=owner, usd=usd(wanted.amount_microdollars))


async def show(connection: Connection, owner: str) -> Credit:
    """Balance, settings and the newest entries that are no charges."""
    balance = await balance_of(connection, owner)
    account = f"credit:{owner}"
    entries = await connection.fetch(
        "select entry_id, kind, credit_account, amount_microdollars, reference, ordered_by, posted_at "
        "from ledger_v1.entries where kind <> 'charge' and (debit_account = $1 or credit_account = $1) "
        "order by entry_id desc limit $2",
        account,
        MOST_ENTRIES,
    )
    settings = await _settings(connection, owner)
    return Credit(
        owner=owner,
        balance=usd(balance),
        balance_microdollars=balance,
        settings=Thresholds(**settings) if settings else None,
        entries=[
            CreditEntry(
                id=str(row["entry_id"]),
                kind=row["kind"],
                usd=usd(row["amount_microdollars"] * (1 if row["credit_account"] == account else -1)),
                reference=row["reference"],
                by=row["ordered_by"],
                at=row["posted_at"],
            )
            for row in entries
        ],
    )


async def settings_of(connection: Connection, owner: str, *, lock: bool = False) -> OwnedThresholds:
    """What an owner has set; nothing of all where it never did.

    Args:
        lock: until the transaction ends nobody else sets them.
    """
    if lock:
        await connection.execute("select pg_advisory_xact_lock(hashtext('credit settings'), hashtext($1))", owner)
    return OwnedThresholds(owner=owner, **await _settings(connection, owner) or dict.fromkeys(_THRESHOLDS))


async def set_settings(connection: Connection, actor: Actor, settings: CreditSettingsSet) -> OwnedThresholds:
    """Sets when an owner's alerts and top-ups are due."""
    await connection.execute(
        "insert into control.credit_settings values ($1, $2, $3, $4) on conflict (owner) do update set "
        "alert_below_microdollars = $2, top_up_below_microdollars = $3, top_up_microdollars = $4",
        settings.owner,
        settings.alert_below_microdollars,
        settings.top_up_below_microdollars,
        settings.top_up_microdollars,
    )
    await enqueue(connection, topics.CREDIT_SETTINGS, settings)
    shown = _shown(settings.model_dump())
    organization_id = organization_of(settings.owner)
    await note(connection, actor, "credit.settings", settings.owner, organization_id=organization_id, **shown)
    return OwnedThresholds(owner=settings.owner, **shown)


async def balance_of(connection: Connection, owner: str) -> int:
    """Microdollars."""
    return int(
        await connection.fetchval("select balance_microdollars from ledger_v1.balances where owner = $1", owner) or 0
    )


async def _settings(connection: Connection, owner: str) -> dict[str, str | None] | None:
    row = await connection.fetchrow("select * from control.credit_settings where owner = $1", owner)
    return _shown(dict(row)) if row else None


def _shown(settings: Mapping[str, int | None]) -> dict[str, str | None]:
    amounts = {name: settings[f"{name}_microdollars"] for name in _THRESHOLDS}
    return {name: None if amount is None else usd(amount) for name, amount in amounts.items()}
