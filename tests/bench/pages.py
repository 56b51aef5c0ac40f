"""``./sluice bench pages``: how heavy the console's pages are, and how soon one can use them, in Chromium.

Each page is loaded by a browser that has seen nothing of the console, a few times; the median counts.
"""

import secrets
import tempfile
from argparse import ArgumentParser, Namespace
from pathlib import Path
from statistics import median
from typing import Any

from playwright.async_api import Browser, async_playwright

from services.cli.output import as_table
from tests.bench.stacks import finish
from tests.browser.conftest import chromium
from tests.e2e.plane import Plane
from tests.stacks import Gateway, running_stack

PAGES = (
    "home", "requests", "usage", "playground", "keys", "provider-keys", "limits", "members", "teams", "policy", "audit",
    "models",
)  # fmt: skip
REQUESTS = 60
_TIMES = """() => {
    const [page] = performance.getEntriesByType("navigation");
    const files = performance.getEntriesByType("resource");
    return {
        bytes: page.decodedBodySize + files.reduce((sum, file) => sum + file.decodedBodySize, 0),
        files: files.length,
        answer_ms: page.responseEnd,
        interactive_ms: page.domContentLoadedEventEnd,
        whole_ms: page.loadEventEnd,
    };
}"""


async def main(options: Namespace) -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        Path(folder).chmod(0o755)
        async with running_stack(Path(folder) / "home", "embedded") as gateway:
            as_table(await _measured(gateway, options.rounds), "")


async def _measured(gateway: Gateway, rounds: int) -> list[dict[str, Any]]:
    async with async_playwright() as playwright:
        plane = Plane(gateway, 1)
        owner = await plane.person()
        organization = (await plane.call("POST", "/api/organizations", {"name": "Acme"}, key=owner.key))["id"]
        await plane.becomes(400, owner.key, organization)
        for _ in range(REQUESTS):
            answer = await plane.ask(owner.key, secrets.token_hex(8), organization_id=organization)
        await gateway.entry(answer.headers["x-request-id"])
        browser = await playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        paths = ["sign-in", *(f"{organization}/{page}" for page in PAGES)]
        rows = [await _page(browser, gateway.stack.console_url, path, owner.key, rounds) for path in paths]
        await browser.close()
    return rows


async def _page(browser: Browser, url: str, path: str, key: str, rounds: int) -> dict[str, Any]:
    seen: list[dict[str, float]] = []
    for _ in range(rounds):
        context = await browser.new_context()
        page = await context.new_page()
        if path != "sign-in":
            await context.request.post(f"{url}/sign-in", form={"key": key}, max_redirects=0)
        await page.goto(f"{url}/{path}", wait_until="load")
        seen.append(await page.evaluate(_TIMES))
        await context.close()
    return {"page": path.rpartition("/")[2]} | {name: round(median(one[name] for one in seen)) for name in seen[0]}


if __name__ == "__main__":
    parser = ArgumentParser(prog="sluice bench pages", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    finish(main(parser.parse_args()))
