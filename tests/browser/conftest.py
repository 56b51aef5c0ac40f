"""A browser, and people who use the console with it."""

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, async_playwright

from tests.e2e.plane import Plane
from tests.stacks import Gateway

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@dataclass
class Visitor:
    """A page in a browser of its own, and all that went wrong in it."""

    page: Page
    url: str
    problems: list[str] = field(default_factory=list)
    """Errors of scripts, violations of the content security policy, and requests to elsewhere."""

    async def sign_in(self, key: str) -> None:
        """As who has this key, without looking at the form."""
        answer = await self.page.request.post(f"{self.url}/sign-in", form={"key": key}, max_redirects=0)
        assert answer.status == 303

    async def sign_in_by_form(self, key: str) -> None:
        """The same as a person does it."""
        await self.page.goto(f"{self.url}/sign-in")
        await self.page.get_by_label("API key").fill(key)
        await self.page.get_by_role("button", name="Sign in").click()
        await self.page.wait_for_url("**/home")

    async def go(self, path: str) -> int:
        """Opens a page and returns its status."""
        response = await self.page.goto(f"{self.url}/{path}")
        assert response
        return response.status


def chromium() -> str | None:
    """Where a browser is."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium, or another one of the system."""
    found = chromium()
    if found is None:
        pytest.skip("no browser: install Chromium (Debian: apt-get install chromium) to test the web console")
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield running
        await running.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def plane(gateway: Gateway) -> Plane:
    """The management API of the shared stack."""
    return Plane(gateway, 1)


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(browser: Browser, plane: Plane) -> AsyncIterator[Visitor]:
    """Somebody at a desk, not signed in."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    yield await visit(context, plane)
    await context.close()


async def visit(context: BrowserContext, plane: Plane) -> Visitor:
    """A page of a context; its problems are collected."""
    page = await context.new_page()
    page.set_default_timeout(15_000)
    visitor = Visitor(page, plane.gateway.stack.console_url)

    def on_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and "status of" not in message.text:
            visitor.problems.append(message.text)

    def on_request(request: Request) -> None:
        if not request.url.startswith(visitor.url):
            visitor.problems.append(f"asked {request.url}")

    page.on("console", on_console)
    page.on("request", on_request)
    page.on("pageerror", lambda error: visitor.problems.append(str(error)))
    return visitor
