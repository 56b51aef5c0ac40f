"""Every panel of every dashboard, asked of a real Prometheus and of the ledger after a few requests."""

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from deploy.grafana.panels import DASHBOARDS, POSTGRES, PROMETHEUS, RATE
from deploy.local.ports import LOOPBACK, free_port
from tests.stacks import Gateway, NotYet, chat, until

pytestmark = pytest.mark.skipif(shutil.which("prometheus") is None, reason="no Prometheus: apt-get install prometheus")
CANARY = "dashboard-canary"
TRACE = "da5b0a5d" * 4
Ask = Any


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def prometheus(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The URL of one that scrapes the shared stack twice a second, once there is something to see."""
    folder: Path = tmp_path_factory.mktemp("prometheus")
    services = gateway.stack.state().services
    jobs = [
        {"job_name": name, "static_configs": [{"targets": [f"{LOOPBACK}:{service.health_port}"]}]}
        for name, service in services.items()
        if service.health_port
    ]
    times = {"scrape_interval": "500ms", "evaluation_interval": "1s"}
    (folder / "prometheus.yml").write_text(json.dumps({"global": times, "scrape_configs": jobs}))
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        "prometheus",
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address={LOOPBACK}:{port}",
        "--enable-feature=exemplar-storage",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    url = f"http://{LOOPBACK}:{port}"
    try:
        # A rate needs a sample before and one after.
        await until(lambda: _scraped(gateway, url, len(jobs)), what="a first sample of every service")
        sampled = {"traceparent": f"00-{TRACE}-{'1' * 16}-01"}
        for _ in range(3):
            assert (await gateway.post(chat(f"{CANARY} [[stub chunks=3]]", stream=True), **sampled)).status_code == 200
        assert (await gateway.post(chat(f"{CANARY} [[stub error=500]]"))).status_code == 502
        yield url
    finally:
        process.terminate()
        await process.wait()


async def _scraped(gateway: Gateway, url: str, wanted: int) -> bool | NotYet:
    try:
        up = await _query(gateway, url, "min_over_time(up[1m]) > 0 or up > 0")
    except httpx.HTTPError as error:
        return NotYet(repr(error))
    return len(up) >= wanted or NotYet(str(up))


async def _query(gateway: Gateway, url: str, query: str) -> list[Any]:
    response = await gateway.http.get(f"{url}/api/v1/query", params={"query": query})
    response.raise_for_status()
    answer = response.json()
    assert answer["status"] == "success", answer
    return list(answer["data"]["result"])


@pytest.mark.parametrize("title", [one.title for one in DASHBOARDS if one.panels[0].source == PROMETHEUS])
async def test_every_panel_has_data(title: str, gateway: Gateway, prometheus: str) -> None:
    (dashboard,) = (one for one in DASHBOARDS if one.title == title)

    async def all_there() -> bool | NotYet:
        # What happened before a series was first seen is no rate.
        await gateway.post(chat(f"{CANARY} [[stub chunks=3]]", stream=True))
        empty = []
        for panel in dashboard.panels:
            for query, _legend in panel.queries:
                found = await _query(gateway, prometheus, query.replace(RATE, "1m"))
                if not any(one["value"][1] != "NaN" for one in found):
                    empty.append(f"{panel.title}: {query}")
        return not empty or NotYet("; ".join(empty))

    await until(all_there, what=f"data for every panel of {title}")


async def test_an_exemplar_leads_to_the_trace(gateway: Gateway, prometheus: str) -> None:
    async def found() -> bool | None:
        asked = {"query": "http_server_request_duration_seconds_bucket", "start": "0", "end": "99999999999"}
        answer = (await gateway.http.get(f"{prometheus}/api/v1/query_exemplars", params=asked)).json()
        return TRACE in json.dumps(answer) or None

    await until(found, what="an exemplar of the sampled request")


async def test_no_page_has_a_prompt_a_key_or_an_owner(gateway: Gateway, prometheus: str) -> None:
    secrets = json.loads(gateway.stack.secrets_file.read_text()).values()
    for service in gateway.stack.state().services.values():
        if service.health_port:
            page = (await gateway.http.get(f"http://{LOOPBACK}:{service.health_port}/metrics")).text
            assert page.endswith("# EOF\n")
            found = [one for one in (CANARY, gateway.account_id, gateway.key, *secrets) if one in page]
            assert not found


async def test_the_tenant_s_panels_are_answered_by_the_ledger(gateway: Gateway, prometheus: str) -> None:
    owner = f"acct:{gateway.account_id}"
    await until(lambda: _booked(gateway, owner), what="an entry of the owner")
    (tenant,) = (one for one in DASHBOARDS if one.owner)
    for panel in tenant.panels:
        assert panel.source == POSTGRES
        for query, _legend in panel.queries:
            filled = query.replace("$owner", owner).replace("$__timeFrom()", "now() - interval '1 day'")
            rows = await gateway.database.fetch(re.sub(r"\$__timeTo\(\)", "now() + interval '1 day'", filled))
            assert rows or panel.title == "Credit that is left", panel.title


async def _booked(gateway: Gateway, owner: str) -> int | None:
    count: int = await gateway.database.fetchval("select count(*) from ledger.usage where owner = $1", owner)
    return count or None
