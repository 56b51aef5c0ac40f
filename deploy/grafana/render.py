"""Grafana's JSON of a dashboard. Pure."""

import json
from pathlib import Path
from typing import Any

from deploy.grafana.panels import DASHBOARDS, POSTGRES, Dashboard, Panel

FOLDER = Path(__file__).with_name("dashboards")
WIDTH, HEIGHT = 12, 8
_OWNERS = "select owner from ledger_v1.balances order by owner limit 1000"


def write(folder: Path = FOLDER) -> None:
    """Writes all of them; what else is there goes."""
    folder.mkdir(exist_ok=True)
    for known in folder.glob("*.json"):
        known.unlink()
    for dashboard in DASHBOARDS:
        (folder / f"{dashboard.uid}.json").write_text(json.dumps(grafana(dashboard), indent=1) + "\n")


def grafana(dashboard: Dashboard) -> dict[str, Any]:
    """The document that Grafana imports or provisions (schema version 39, Grafana 11 and newer)."""
    owner = {
        "name": "owner",
        "label": "Owner",
        "type": "query",
        "datasource": _source(POSTGRES),
        "query": _OWNERS,
        "refresh": 2,
    }
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["sluice"],
        "schemaVersion": 39,
        "timezone": "browser",
        "refresh": "10s",
        "time": {"from": "now-24h" if dashboard.owner else "now-1h", "to": "now"},
        "templating": {"list": [owner] if dashboard.owner else []},
        "panels": [_panel(number, panel) for number, panel in enumerate(dashboard.panels)],
    }


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    return {
        "id": number + 1,
        "title": panel.title,
        "type": panel.kind,
        "datasource": _source(panel.source),
        "gridPos": {"x": number % 2 * WIDTH, "y": number // 2 * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [_target(panel, place, *query) for place, query in enumerate(panel.queries)],
    }


def _target(panel: Panel, place: int, query: str, legend: str) -> dict[str, Any]:
    target: dict[str, Any] = {"refId": chr(ord("A") + place), "datasource": _source(panel.source)}
    if panel.source == POSTGRES:
        form = "table" if panel.kind == "stat" else "time_series"
        return target | {"rawQuery": True, "rawSql": query, "format": form}
    return target | {"expr": query, "legendFormat": legend, "exemplar": "_bucket" in query}


def _source(kind: str) -> dict[str, str]:
    return {"type": "grafana-postgresql-datasource" if kind == POSTGRES else kind, "uid": f"sluice-{kind}"}
