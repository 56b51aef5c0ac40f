"""``status``."""

import sys
from typing import Any

import orjson
import psutil

from deploy.local.home import StackState
from services.cli.output import Json, as_json, as_table, out
from services.cli.pages import pages
from services.cli.running import running

_SHOWN = ("pid", "base_url", "console_url", "broker", "kafka", "database")


def status(json: Json = False) -> None:
    """Show what runs from this folder, and how it is."""
    _, state = running()
    services = _rows(state)
    ready = all(row["ready"] for row in services)
    if json:
        content = {name: getattr(state, name) for name in _SHOWN}
        by_name = {row.pop("service"): row for row in services}
        as_json(content | {"ready": ready, "services": by_name})
    else:
        out.print(f"base URL  {state.base_url}\nconsole   {state.console_url}", markup=False)
        out.print(f"broker    {state.broker} at {state.kafka}\ndatabase  {state.database}\n", markup=False)
        as_table(services, "nothing runs")
    if not ready:
        sys.exit(1)


def _rows(state: StackState) -> list[dict[str, Any]]:
    answers = pages(state, "/readyz")
    rows = []
    for name, service in state.services.items():
        page: dict[str, Any] = orjson.loads(answers[name]) if name in answers else {}
        lives = service.health_port is None and psutil.pid_exists(service.pid)
        rows.append(
            {
                "service": name,
                "pid": service.pid,
                "ready": bool(page.get("ready", lives)),
                "lag": page.get("lag"),
                "waits_for": page.get("waits_for", []),
                "problems": page.get("problems", {}),
            }
        )
    return rows
