"""Sinks and alerts (operator): how they do, and a backfill."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path

from contracts.alerts import AlertChanged, AlertKind
from services.console.answers import Answer, Body
from services.console.core.sinks import Condition, SinkShown
from services.console.errors import BadInput
from services.console.session import Call, Session
from services.console.store import audit

routes = APIRouter(prefix="/api", tags=["operator"])
Name = Annotated[str, Path(pattern=r"^[a-z][a-z0-9-]{0,39}$", description="As the configuration calls it.")]


class SinkState(Answer):
    """One sink, over all its processes; counts are of their life."""

    name: str
    kind: str
    records: list[Literal["usage", "charges", "credit", "alerts"]]
    condition: Condition
    """``silent``: none of its processes has reported for 30 s."""
    processes: int
    lag: int
    delivered: int
    dead_letters: int
    failures: int
    """Attempts that are made again."""
    last_error: str
    last_delivered_at: datetime | None
    reported_at: datetime
    group: str
    backfill_from: datetime | None
    """Where the last backfill that was ordered began."""
    backfill_ordered_by: str | None
    backfill_ordered_at: datetime | None


class Alert(Answer):
    """What somebody should know, and is still so."""

    kind: AlertKind
    about: str
    """An owner, a provider, or ``dead-letters``."""
    since: datetime
    text: str


class BackfillOrder(Body):
    """Deliver all records since a time once more, then go on; receivers know what they have by its ID."""

    since: datetime


class BackfillOrdered(Answer):
    """The sink begins there within seconds; its lag says how far it is."""

    sink: str
    since: datetime
    ordered_at: datetime


@routes.get("/sinks")
async def list_sinks(call: Call) -> list[SinkState]:
    """Sinks, and how far behind each is (operator)."""
    call.check_operator()
    return [_state(one) for one in call.parts.sinks.rows()]


@routes.post("/sinks/{name}/backfills", status_code=202)
async def order_backfill(name: Name, body: BackfillOrder, call: Call) -> BackfillOrdered:
    """Deliver all records since a time once more (operator)."""
    return await backfill(call, name, body.since)


@routes.get("/alerts")
async def list_alerts(call: Call) -> list[Alert]:
    """Alerts that are raised now, the newest first (operator)."""
    call.check_operator()
    return [_alert(one) for one in call.parts.sinks.alerts()]


async def backfill(call: Session, name: str, since: datetime) -> BackfillOrdered:
    """Orders it, and notes who did."""
    call.check_operator()
    if since.tzinfo is None:
        raise BadInput("times need a zone, for example 2026-11-25T00:00:00Z")
    order = await call.parts.sinks.backfill(name, int(since.timestamp() * 1000), call.actor.name)
    await audit.note(call.connection, call.actor, "sink.backfill", name, since=_time(order.from_ms).isoformat())
    return BackfillOrdered(sink=name, since=_time(order.from_ms), ordered_at=_time(order.number))


def _state(one: SinkShown) -> SinkState:
    order = one.backfill
    return SinkState(
        name=one.name,
        kind=one.kind,
        records=one.records,
        condition=one.condition,
        processes=one.processes,
        lag=one.lag,
        delivered=one.delivered,
        dead_letters=one.dead_letters,
        failures=one.failures,
        last_error=one.last_error,
        last_delivered_at=one.last_delivered_at_ms and _time(one.last_delivered_at_ms),
        reported_at=_time(one.reported_at_ms),
        group=one.group,
        backfill_from=order and _time(order.from_ms),
        backfill_ordered_by=order and order.ordered_by,
        backfill_ordered_at=order and _time(order.number),
    )


def _alert(one: AlertChanged) -> Alert:
    return Alert(kind=one.kind, about=one.about, since=_time(one.since_ms), text=one.text)


def _time(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)
