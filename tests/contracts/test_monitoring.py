"""Dashboards, alerts and runbooks: they agree with each other and with the metrics that there are."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.grafana import render
from deploy.grafana.panels import DASHBOARDS, PROMETHEUS
from deploy.local.home import ROOT
from libs.telemetry.instruments import ALL
from libs.telemetry.metrics import Histogram
from libs.telemetry.prometheus import prometheus_name, sanitized

RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
RUNBOOKS = ROOT / "docs" / "runbooks"
_METRIC = re.compile(r"\b(?:sluice|gen_ai_client|messaging|http_server|process)_[a-z_]+(?=[{\[)]|\s|$)")
promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool: apt-get install prometheus")


def _rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def _known() -> set[str]:
    names: set[str] = set()
    for one in ALL:
        name = prometheus_name(one)
        names |= {
            f"{name}{suffix}"
            for suffix in (("_bucket", "_sum", "_count") if isinstance(one, Histogram) else ("", "_total"))
        }
        names |= set(map(sanitized, one.labels))
    return names


def test_each_alert_has_a_runbook_and_a_test() -> None:
    alerts = {rule["alert"]: rule for rule in _rules()}
    assert {file.stem for file in RUNBOOKS.glob("*.md")} == set(alerts)
    assert all(rule["annotations"]["runbook"] == f"docs/runbooks/{name}.md" for name, rule in alerts.items())
    tested = RULES.with_name("rules.test.yml").read_text()
    assert not [name for name in alerts if f"alertname: {name}\n" not in tested], "never seen firing"


def test_queries_name_metrics_that_there_are() -> None:
    queries = [rule["expr"] for rule in _rules()]
    queries += [
        query
        for dashboard in DASHBOARDS
        for panel in dashboard.panels
        if panel.source == PROMETHEUS
        for query, _ in panel.queries
    ]
    named = {found for query in queries for found in _METRIC.findall(query)}
    assert len(named) > 20
    assert named <= _known()


def test_the_dashboards_are_what_their_source_makes(tmp_path: Path) -> None:
    render.write(tmp_path)
    written = {file.name: json.loads(file.read_text()) for file in render.FOLDER.glob("*.json")}
    assert written == {file.name: json.loads(file.read_text()) for file in tmp_path.glob("*.json")}, (
        "./sluice contracts"
    )


@promtool
@pytest.mark.parametrize(
    "command", [("test", "rules", "rules.test.yml"), ("check", "config", "prometheus.yml")], ids=" ".join
)
def test_promtool_is_content(command: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *command], cwd=RULES.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
