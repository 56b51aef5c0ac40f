"""``contracts``: writes the generated documents anew, and cuts the baseline of a release."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from contracts.services import SERVICES, ServiceSpec
from deploy.grafana import render as dashboards
from deploy.helm import facts as chart
from deploy.local.home import ROOT
from libs.bus.documents import asyncapi, schemas, topic_table
from libs.chat.table import document as translation
from libs.telemetry.table import document as metrics
from services.cli.output import fail, report

GENERATED = ROOT / "contracts" / "generated"
RELEASED = ROOT / "contracts" / "released"
OPENAPI = {"management-openapi.json": "console", "gateway-openapi.json": "ingress"}
"""By the service whose API it is."""
TRANSLATION = ROOT / "docs" / "translation.md"
METRICS = ROOT / "docs" / "metrics.md"
TABLE = re.compile(r"(<!-- topics: begin \(./sluice contracts\) -->\n).*?(<!-- topics: end -->)", re.DOTALL)


def contracts(
    release: Annotated[
        str | None, typer.Option(help="Cut this version's baseline, with which later ones must be compatible.")
    ] = None,
) -> None:
    """Write schemas, AsyncAPI, OpenAPI, the chart's files and the generated tables of documents anew."""
    _write_schemas(GENERATED / "schemas")
    (GENERATED / "asyncapi.yaml").write_text(asyncapi())
    for name, service in OPENAPI.items():
        openapi = subprocess.run([sys.executable, "-m", f"services.{service}.openapi"], capture_output=True, check=True)  # noqa: S603
        (GENERATED / name).write_bytes(openapi.stdout)
    TRANSLATION.write_text(translation())
    METRICS.write_text(metrics())
    dashboards.write()
    chart.write()
    for spec in SERVICES:
        file = readme(spec)
        file.write_text(with_table(file.read_text(), spec))
    written = (GENERATED, TRANSLATION, METRICS, dashboards.FOLDER, chart.FILES, ROOT / "services/*/README.md")
    report(f"written: {', '.join(str(path.relative_to(ROOT)) for path in written)}")
    if release:
        folder = RELEASED / release
        if folder.exists():
            fail(f"{folder.relative_to(ROOT)} is there already; a release is not changed")
        _write_schemas(folder)
        report(f"written: {folder.relative_to(ROOT)}")


def readme(spec: ServiceSpec) -> Path:
    """A service's page."""
    return ROOT / "services" / spec.name.replace("-", "_") / "README.md"


def with_table(text: str, spec: ServiceSpec) -> str:
    """The page with the table of what the service reads and writes.

    Raises:
        ValueError: the page has no place for it.
    """
    changed, count = TABLE.subn(lambda found: found[1] + topic_table(spec) + found[2], text)
    if count != 1:
        raise ValueError(f"the README of {spec.name} has {count} tables of topics")
    return changed


def _write_schemas(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for name, schema in schemas().items():
        file = folder / f"{name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(schema, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
