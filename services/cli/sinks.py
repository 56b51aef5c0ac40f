"""``sinks``: what goes to other systems, how it does, and a backfill."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from contracts.clock import now_ms
from contracts.services import OPERATOR
from contracts.sinks import SinkBackfillOrdered, SinkReported
from contracts.topics import BACKFILLS, SINK_STATES
from libs.bus.producer import Producer, settle
from libs.bus.reading import read_to_end
from libs.bus.records import PoisonError, decode
from services.cli.brokers import asked, brokers
from services.cli.dlq import By, whoami
from services.cli.output import Json, as_json, as_table, fail, out, report
from services.cli.times import moment

sinks = typer.Typer(no_args_is_help=True, help="Sinks: records and alerts that go to other systems.")
Name = Annotated[str, typer.Argument(help="As the configuration calls it.")]


@sinks.command("list")
def list_sinks(json: Json = False) -> None:
    """List sinks, and how far behind each is."""
    found = asked(_reports())
    if json:
        as_json([one.model_dump(mode="json") for one in found])
        return
    shown = ("sink", "kind", "records", "condition", "lag", "delivered", "dead_letters", "last_delivered")
    as_table([{name: value for name, value in _row(one).items() if name in shown} for one in found], "no sink runs")


@sinks.command("show")
def show_sink(name: Name, json: Json = False) -> None:
    """Show all that is known of a sink."""
    found = _named(name)
    if json:
        as_json([one.model_dump(mode="json") for one in found])
        return
    as_table([{"field": field, "value": value} for one in found for field, value in _row(one).items()], "")


@sinks.command("key")
def draw_key(json: Json = False) -> None:
    """Draw the key of prompts and answers: the public half is for `contents` of the configuration, the private half for
    SLUICE_SINK_CONTENTS_KEY of the service `sinks` alone."""
    from libs.sealing.hybrid import KeyPair, to_base64  # With cryptography, which the other commands do without.

    pair = KeyPair.generate()
    row = {"public_key": pair.public, "SLUICE_SINK_CONTENTS_KEY": to_base64(pair.private_bytes())}
    if json:
        as_json(row)
    else:
        for name, value in row.items():
            out.print(f"{name}: {value}", markup=False, soft_wrap=True)


@sinks.command("backfill")
def backfill(
    name: Name,
    begin: Annotated[str, typer.Option("--from", help="24h ago, or a time: 2026-11-01T00:00:00Z.")],
    by: By = None,
) -> None:
    """Deliver all records since a time once more, then go on. Receivers know what they have by its ID."""
    _named(name)
    begin_ms = int(datetime.fromisoformat(moment(begin)).timestamp() * 1000)
    order = SinkBackfillOrdered(sink=name, from_ms=max(0, begin_ms), number=now_ms(), ordered_by=(by or whoami())[:200])
    asked(_order(order))
    report(f"{name} reads from {_time(order.from_ms)} on; `./sluice sinks list` shows how far it is")


def _named(name: str) -> list[SinkReported]:
    found = [one for one in asked(_reports()) if one.sink == name]
    if not found:
        fail(f"no sink {name} has reported")
    return found


async def _reports() -> list[SinkReported]:
    found: dict[str, SinkReported] = {}
    async for raw in read_to_end(brokers(), SINK_STATES):
        try:
            record = decode(raw).record
        except PoisonError:
            continue
        if isinstance(record, SinkReported):
            found[record.state_key] = record
    return [found[key] for key in sorted(found)]


async def _order(order: SinkBackfillOrdered) -> None:
    producer = Producer(brokers(), OPERATOR)
    await producer.start()
    try:
        await settle([await producer.publish(BACKFILLS, order)])
    finally:
        await producer.stop()


def _row(one: SinkReported) -> dict[str, Any]:
    return {
        "sink": one.sink,
        "kind": one.kind,
        "records": ", ".join(one.records),
        "condition": "silent" if one.silent(now_ms()) else one.condition,
        "lag": one.lag,
        "delivered": one.delivered,
        "dead_letters": one.dead_letters,
        "failures": one.failures,
        "last_error": one.last_error,
        "last_delivered": _time(one.last_delivered_at_ms) if one.last_delivered_at_ms else "",
        "group": one.group,
        "process": one.process,
        "reported": _time(one.reported_at_ms),
    }


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")
