"""``./sluice bench dashboards``: asks every query of every panel of a real Prometheus after a run, and takes pictures.

Load of whole answers, streams, clients that leave and answers that fail, for ``--seconds``. Grafana is in no registry
that this machine reaches, so the pictures are of Prometheus' own pages, with queries of the dashboards and the alerts.
"""

import asyncio
import json
import shutil
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
from playwright.async_api import async_playwright

from deploy.grafana.panels import DASHBOARDS, PROMETHEUS, RATE
from deploy.local.errors import StackError
from deploy.local.home import ROOT
from deploy.local.ports import LOOPBACK, free_port, wait_until_open
from services.cli.output import as_table, out, report
from tests.bench.contenders import child
from tests.bench.stacks import finish
from tests.faults.load import Load
from tests.stacks import Gateway, chat, running_stack

SCRAPED_EVERY_S = 2
OVER = "30s"
"""In the place of Grafana's interval."""
SHOWN = ("Requests by surface", "Calls", "Processed")
WIDTH, HEIGHT = 1400, 300
"""At the least: a picture is as high as its page."""

_RELATIVE = """root => {
  window.scrollTo(0, 0)
  document.querySelectorAll('.fixed-top').forEach(bar => { bar.style.position = 'absolute' })
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (texts.nextNode()) texts.currentNode.data = texts.currentNode.data.replaceAll(root + '/', '')
}"""


async def main(options: Namespace) -> None:
    """Runs, asks and prints."""
    browser = shutil.which("chromium")
    if shutil.which("prometheus") is None or browser is None:
        raise StackError("this needs Prometheus and Chromium: apt-get install prometheus chromium")
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        Path(folder).chmod(0o755)
        async with (
            running_stack(Path(folder) / "stack", options.kafka) as gateway,
            _prometheus(gateway, Path(folder)) as url,
        ):
            report(f"load for {options.seconds:.0f} s")
            async with Load(gateway, clients=8):
                for _ in range(int(options.seconds)):
                    await gateway.post(chat("[[stub error=500]]"))
                    await asyncio.sleep(1)
            rows = await _asked(url)
            if options.save:
                await _pictures(url, browser, options.save)
    if options.json:
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
    else:
        as_table(rows, "")
    empty = [row for row in rows if not row["series"]]
    out.print(f"\n{len(rows)} queries, {len(empty)} without data", markup=False)
    if empty:
        raise StackError("panels without data: " + ", ".join(f"{row['dashboard']}: {row['panel']}" for row in empty))


@asynccontextmanager
async def _prometheus(gateway: Gateway, folder: Path) -> AsyncIterator[str]:
    services = gateway.stack.state().services
    jobs = [
        {"job_name": name, "static_configs": [{"targets": [f"{LOOPBACK}:{service.health_port}"]}]}
        for name, service in services.items()
        if service.health_port
    ]
    times = {"scrape_interval": f"{SCRAPED_EVERY_S}s", "evaluation_interval": "5s"}
    rules = [str(ROOT / "deploy/prometheus/rules.yml")]
    (folder / "prometheus.yml").write_text(json.dumps({"global": times, "rule_files": rules, "scrape_configs": jobs}))
    port = free_port()
    command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/prometheus"]
    command += [f"--web.listen-address={LOOPBACK}:{port}", "--enable-feature=exemplar-storage"]
    async with child(command, log=folder / "prometheus.log"):
        await wait_until_open(port, within_s=60, what="Prometheus")
        yield f"http://{LOOPBACK}:{port}"


async def _asked(url: str) -> list[dict[str, Any]]:
    rows = []
    async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
        for dashboard in DASHBOARDS:
            for panel in dashboard.panels if dashboard.panels[0].source == PROMETHEUS else ():
                for query, _legend in panel.queries:
                    answer = await http.get(f"{url}/api/v1/query", params={"query": query.replace(RATE, OVER)})
                    found = [one for one in answer.json()["data"]["result"] if one["value"][1] != "NaN"]
                    rows.append({"dashboard": dashboard.title, "panel": panel.title, "series": len(found)})
    return rows


async def _pictures(url: str, browser: str, folder: Path) -> None:
    panels = [panel for one in DASHBOARDS for panel in one.panels if panel.title in SHOWN]
    asked: dict[str, str] = {}
    for number, panel in enumerate(panels):
        query = panel.queries[-1][0].replace(RATE, OVER)
        asked |= {f"g{number}.expr": query, f"g{number}.tab": "0", f"g{number}.range_input": "1m"}
    pages = {"prometheus-graphs": f"/classic/graph?{urlencode(asked)}", "prometheus-alerts": "/classic/alerts"}
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = await running.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        for name, path in pages.items():
            await page.goto(url + path, wait_until="networkidle")
            # Prometheus shows where the rules lie on this machine, and its bar hangs over what is scrolled.
            await page.evaluate(_RELATIVE, str(ROOT))
            await page.screenshot(path=folder / f"{name}.png", full_page=True)
            report(f"{folder / name}.png")
        await running.close()


if __name__ == "__main__":
    parser = ArgumentParser(prog="sluice bench dashboards", description=__doc__)
    parser.add_argument("--seconds", type=float, default=45, help="of load")
    parser.add_argument("--save", type=Path, help="a folder for pictures")
    parser.add_argument("--kafka", default="embedded", help="embedded or HOST:PORT")
    parser.add_argument("--json", action="store_true", help="one JSON value on stdout")
    finish(main(parser.parse_args()))
