"""``top``: what this Sluice does now."""

import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table

from deploy.local.errors import StackError
from services.cli.figures import Figures, figures, read
from services.cli.output import Json, as_json, out
from services.cli.pages import pages
from services.cli.running import running


def top(
    once: Annotated[bool, typer.Option("--once", help="Print one reading and return.")] = False,
    every: Annotated[float, typer.Option(min=0.2, max=60, help="Seconds between readings.")] = 1.0,
    json: Json = False,
) -> None:
    """Show rate, latency, lag, spend and refusals of the Sluice of this folder, live."""
    readings = _readings(every)
    if once:
        found = next(readings)
        if json:
            as_json(asdict(found))
        else:
            out.print(_shown(found))
        return
    if json:
        for found in readings:
            as_json(asdict(found))
    with Live(console=out, auto_refresh=False) as live:
        for found in readings:
            live.update(_shown(found), refresh=True)


def _readings(every_s: float) -> Iterator[Figures]:
    _, state = running()
    before, before_s = read(pages(state, "/metrics").values()), time.monotonic()
    while True:
        time.sleep(every_s)
        answers = pages(state, "/metrics")
        if not answers:
            raise StackError("no service answers any more")
        after, after_s = read(answers.values()), time.monotonic()
        yield figures(before, after, after_s - before_s)
        before, before_s = after, after_s


def _shown(found: Figures) -> Group:
    head = Table(box=None, pad_edge=False, show_header=False)
    for name, value in (
        (
            "requests",
            f"{found.requests_per_s}/s, {found.errors_per_s}/s failed, {found.sheds_per_s}/s refused at the door",
        ),
        ("latency", f"p50 ≤ {_ms(found.p50_ms)}, p95 ≤ {_ms(found.p95_ms)}"),
        ("spend", f"{found.usd_per_h} USD/h"),
        ("in the gateway", f"{found.waiting} clients wait, {found.pending_joins} requests are undecided"),
        ("dead letters", str(found.dead_letters)),
        ("lag", ", ".join(f"{group} {count}" for group, count in found.lag.items())),
    ):
        head.add_row(name, value)
    return Group(head, *(_rows(rows) for rows in (found.models, found.keys) if rows))


def _rows(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in rows[0]:
        table.add_column(name.replace("_per_s", "/s"))
    for row in rows:
        table.add_row(*map(str, row.values()))
    return table


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f} ms"
