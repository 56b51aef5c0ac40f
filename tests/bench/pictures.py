"""``./sluice bench pictures``: the web console's pages as pictures, of a stack with an organization that uses it.

Without options it makes those of docs/images. ``--every FOLDER`` makes one of each page instead, in light, in the dark
and on a phone, to be looked at.
"""

import asyncio
import secrets
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playwright.async_api import Browser, Page, ViewportSize, async_playwright

from deploy.local.errors import StackError
from deploy.local.home import ROOT
from services.cli.output import report
from tests.bench import scene as scenes
from tests.bench.scene import Scene
from tests.bench.stacks import finish
from tests.browser.conftest import chromium
from tests.mcp_servers import tool_server
from tests.stacks import Gateway, chat, running_stack

CONFIG = Path(__file__).with_name("pictures.yaml")
WIDE: ViewportSize = {"width": 1280, "height": 860}
PHONE: ViewportSize = {"width": 390, "height": 844}
Scheme = Literal["light", "dark"]
LOOKS: dict[str, tuple[Scheme, ViewportSize]] = {
    "light": ("light", WIDE),
    "dark": ("dark", WIDE),
    "phone": ("light", PHONE),
}


@dataclass(frozen=True)
class Picture:
    """One of docs/images."""

    name: str
    path: str
    """With ``{org}``, and ``{request}`` of one that a second provider answered."""
    scheme: Scheme = "light"
    size: ViewportSize | None = None


SHOWN = (
    Picture("console-home", "{org}/home"),
    Picture("console-request", "{org}/requests/{request}", "dark", {"width": 1200, "height": 1100}),
    Picture("console-usage", "{org}/usage?by=team"),
    Picture("console-phone", "{org}/usage", size=PHONE),
    Picture("console-live", "all/live"),
    Picture("console-sinks", "all/sinks"),
)


async def _preview(page: Page) -> None:
    await page.get_by_label("Models", exact=True).fill("anthropic/*\nmistral/*")
    await page.get_by_label("A member's spending a day, in USD").fill("0.50")
    await page.get_by_role("button", name="Preview").click()
    await page.get_by_role("heading", name="This draft, over the last day").wait_for()


async def _send(page: Page) -> None:
    await page.get_by_label("Model", exact=True).select_option("openai/gpt-large")
    await page.get_by_label("Compare with").select_option("google/gemini-pro")
    await page.get_by_label("Prompt").fill("What does a gateway do all day? [[stub chunks=60 gap_ms=5]]")
    await page.get_by_role("button", name="Send").click()
    for number in range(2):
        await page.get_by_role("link", name="Its cost and entry").nth(number).wait_for()


async def _mint(page: Page) -> None:
    await page.get_by_label("Name").fill("nightly")
    await page.get_by_role("button", name="Mint the key").click()
    await page.locator("#new-key").wait_for()


async def _wrong(page: Page) -> None:
    await page.get_by_label("API key").fill("nonsense")
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("alert").wait_for()


DEEDS: dict[str, Callable[[Page], Awaitable[None]]] = {
    "preview": _preview, "send": _send, "mint": _mint, "wrong": _wrong,
}  # fmt: skip
"""What is done on a page before it is looked at, by what stands behind the ``#`` of its path."""
PAGES = (
    "home", "requests", "requests?outcome=interrupted", "requests/{request}", "requests/{refused}", "usage",
    "usage?by=member", "usage?by=team", "playground", "keys", "provider-keys", "mcp-servers", "batches", "limits",
    "members", "teams", "teams/core", "policy", "audit", "models",
    "models/compare?model=anthropic/claude-opus&model=openai/gpt-large", "new-organization", "policy#preview",
    "playground#send", "keys#mint",
)  # fmt: skip
OPERATORS = (
    "home", "requests", "usage", "batches", "limits", "models", "live", "operator", "dead-letters", "sinks",
    "configuration", "configuration/1", "audit",
)  # fmt: skip


async def main(options: Namespace) -> None:
    """Starts, makes, and takes."""
    if chromium() is None:
        raise StackError("this needs Chromium: apt-get install chromium")
    token = secrets.token_hex(16)
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        config = folder / "pictures.yaml"
        config.write_text(CONFIG.read_text().replace("/PLACE", str(folder / "warehouse")))
        environment = {"SLUICE_SINK_BILLING_SECRET": "whsec_" + "c2x1aWNlLXBpY3R1cmVzLW9ubHktMDEyMzQ1Njc="}
        async with (
            tool_server(token=token) as tools,
            running_stack(folder / "stack", "embedded", config=config, environment=environment) as gateway,
        ):
            scene = await scenes.make(gateway, tools, token)
            asking = asyncio.create_task(_ask(gateway, scene))
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
                takes = _takes(options, scene)
                await _take(browser, gateway, scene, takes)
                await browser.close()
            asking.cancel()


def _takes(options: Namespace, scene: Scene) -> list[tuple[Path, Picture]]:
    if options.every is None:
        return [(options.save / f"{one.name}.png", one) for one in SHOWN]
    options.every.mkdir(parents=True, exist_ok=True)
    paths = (
        [f"{{org}}/{page}" for page in PAGES]
        + [f"all/{page}" for page in OPERATORS]
        + ["sign-in", "sign-in#wrong", "me/home"]
    )
    wanted = [path for path in paths if not options.only or options.only in path]
    return [
        (options.every / f"{look}-{_name(path)}.png", Picture(path, path, scheme, size))
        for look, (scheme, size) in LOOKS.items()
        for path in wanted
    ]


def _name(path: str) -> str:
    kept = path.replace("{org}", "org").partition("&")[0]
    return "".join(one if one.isalnum() else "-" for one in kept).strip("-")


async def _take(browser: Browser, gateway: Gateway, scene: Scene, takes: list[tuple[Path, Picture]]) -> None:
    url = gateway.stack.console_url
    values = {"org": scene.organization, "request": scene.failed_over, "refused": scene.refused}
    for file, picture in takes:
        path = picture.path.format(**values)
        context = await browser.new_context(
            viewport=picture.size or WIDE, color_scheme=picture.scheme, reduced_motion="no-preference"
        )
        page = await context.new_page()
        key = gateway.stack.operator_token() if path.startswith("all/") else scene.people["ada"].key
        if not path.startswith("sign-in"):
            await context.request.post(f"{url}/sign-in", form={"key": key}, max_redirects=0)
        await page.goto(f"{url}/{path}", wait_until="load")
        if deed := DEEDS.get(path.partition("#")[2]):
            await deed(page)
        if path == "all/live":
            await page.locator(".flow .dot[visibility=hidden]").nth(8).wait_for(state="attached", timeout=60_000)
        await page.screenshot(path=file, full_page=picture.path == picture.name)
        await context.close()
        report(str(file))


async def _ask(gateway: Gateway, scene: Scene) -> None:
    """So that something flows."""
    headers = {"Authorization": f"Bearer {scene.people['radia'].key}"}
    headers["X-KiloCode-OrganizationId"] = scene.organization
    while True:
        body = chat("Go on. [[stub chunks=8 gap_ms=30]]", model="openai/gpt-small", max_tokens=50)
        await asyncio.gather(*(gateway.post(body, **headers) for _ in range(3)))
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    parser = ArgumentParser(prog="sluice bench pictures", description=__doc__)
    parser.add_argument(
        "--save", type=Path, default=ROOT / "docs" / "images", help="where those of the documentation go"
    )
    parser.add_argument("--every", type=Path, help="a folder for one of each page, in each look")
    parser.add_argument("--only", help="with --every: pages whose path has this text")
    finish(main(parser.parse_args()))
