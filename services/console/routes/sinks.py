"""Sinks and alerts (operator): how they do, and a backfill."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path

from contracts.alerts import AlertKind
from services.console.answers import Answer, Body, time_of
from services.console.core.moments import since_ms
from services.console.core.sinks import Backfill, SinkState, backfill_of
from services.console.session import Call, Session
from services.console.store import audit

routes = APIRouter(prefix="/api", tags=["operator"])
Name = Annotated[str, Path(pattern=r"^[a-z][a-z0-9-]{0,39}$", description="As the configuration calls it.")]


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


@routes.get("/sinks")
async def list_sinks(call: Call) -> list[SinkState]:
    """Sinks, and how far behind each is (operator)."""
    call.check_operator()
    return call.parts.sinks.rows()


@routes.post("/sinks/{name}/backfills", status_code=202)
async def order_backfill(name: Name, body: BackfillOrder, call: Call) -> Backfill:
    """Deliver all records since a time once more: the sink begins there within seconds (operator)."""
    return await backfill(call, name, body.since)


@routes.get("/alerts")
async def list_alerts(call: Call) -> list[Alert]:
    """Alerts that are raised now, the newest first (operator)."""
    call.check_operator()
    return [
        Alert(kind=one.kind, about=one.about, since=time_of(one.since_ms), text=one.text)
        for one in call.parts.sinks.alerts()
    ]


async def backfill(call: Session, name: str, since: datetime) -> Backfill:
    """Orders it, and notes who did."""
    call.check_operator()
    order = backfill_of(await call.parts.sinks.backfill(name, since_ms(since), call.actor.name))
    await audit.note(call.connection, call.actor, "sink.backfill", name, since=order.since.isoformat())
    return order
