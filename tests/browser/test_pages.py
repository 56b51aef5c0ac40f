"""Every page: for everybody, against hostile names, light enough."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib.resources import files

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from contracts import headers as names
from contracts import topics
from tests.browser.conftest import Visitor, visit
from tests.e2e.plane import Person, Plane
from tests.integration.publishing import raw_producer
from tests.stacks import until

pytestmark = pytest.mark.asyncio(loop_scope="session")
AXE = (files("axe_playwright_python") / "axe.min.js").read_text()
HOSTILE = """"><img src=x onerror=alert(1)></script><script>alert(2)</script>{{7*7}}'"""
MOST_BYTES = 100_000
PAGES = (
    "home", "requests", "usage", "playground", "keys", "provider-keys", "limits", "members", "teams", "teams/core",
    "policy", "audit", "models",
)  # fmt: skip


@dataclass
class Scene:
    """An organization whose every name is hostile, with requests, and its owner."""

    owner: Person
    organization: str
    request_id: str


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def scene(plane: Plane) -> Scene:
    owner = await plane.person()
    organization = (await plane.call("POST", "/api/organizations", {"name": HOSTILE}, key=owner.key))["id"]
    issued = await plane.call("POST", f"/api/accounts/{owner.account_id}/keys", {"name": HOSTILE})
    policy = {"model_allow": ["stub/*", HOSTILE[:60]]}
    await plane.call("PUT", f"/api/organizations/{organization}/policy", policy, key=owner.key)
    await plane.call("PUT", f"/api/organizations/{organization}/teams/core", key=owner.key)
    await plane.call("PUT", f"/api/organizations/{organization}/teams/core/members/{owner.account_id}", key=owner.key)
    for scope in ("all", "team:core", "model:" + HOSTILE.replace(" ", "")[:60]):
        limits = {"scope": scope, "meters": {"tokens_per_day": 1_000_000_000, "requests_per_minute": 1_000}}
        await plane.call("PATCH", f"/api/organizations/{organization}/limits", limits, key=owner.key)
    await plane.becomes(400, issued["key"], organization)
    for model in ("stub/echo", "pair/500", HOSTILE):
        headers = {"x-kilocode-mode": "code", "x-kilocode-version": "1<script>"}
        body = {"model": model, "messages": [{"role": "user", "content": HOSTILE}]}
        headers |= {"Authorization": f"Bearer {issued['key']}", "X-KiloCode-OrganizationId": organization}
        answer = await plane.gateway.post(body, **headers)
        if answer.status_code == 200:
            request_id = answer.headers["x-request-id"]
            await plane.gateway.entry(request_id)
    return Scene(owner, organization, request_id)


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=["light", "dark", "phone"])
async def looking(
    request: pytest.FixtureRequest, browser: Browser, plane: Plane, scene: Scene
) -> AsyncIterator[Visitor]:
    """The owner, signed in, in light, in the dark and on a phone."""
    context = await browser.new_context(
        color_scheme="dark" if request.param == "dark" else "light",
        viewport={"width": 390 if request.param == "phone" else 1280, "height": 800},
        reduced_motion="reduce",
    )
    visitor = await visit(context, plane)
    await visitor.sign_in(scene.owner.key)
    yield visitor
    await context.close()


async def _check(visitor: Visitor, path: str) -> None:
    assert await visitor.go(path) == 200
    # Isolated worlds are not bound by the page's policy; a script tag would be.
    await visitor.page.evaluate(AXE)
    found = await visitor.page.evaluate("axe.run({resultTypes: ['violations']})")
    grave = [
        (one["id"], node["html"][:200])
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
    assert grave == [], path
    wider = await visitor.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wider <= 0, path
    assert visitor.problems == [], path


@pytest.mark.parametrize("name", PAGES)
async def test_a_page_is_for_everybody_and_takes_names_as_text(looking: Visitor, scene: Scene, name: str) -> None:
    await _check(looking, f"{scene.organization}/{name}")
    await expect(looking.page.locator(".spaces summary")).to_contain_text(HOSTILE)


async def test_a_request_s_page(looking: Visitor, scene: Scene) -> None:
    await _check(looking, f"{scene.organization}/requests/{scene.request_id}")


async def test_the_operator_s_page(visitor: Visitor, plane: Plane) -> None:
    await visitor.sign_in(plane.gateway.stack.operator_token())
    async with raw_producer(plane.gateway.stack.bus) as producer:
        headers = [(names.TYPE, HOSTILE.encode()), (names.SUBJECT, HOSTILE.encode())]
        sent = await producer.send_and_wait(
            topics.KEY_USES.name, b"{", key=HOSTILE.encode(), headers=headers, partition=0
        )
    letter = f"all/dead-letters/{topics.KEY_USES.name}/0/{sent.offset}"

    async def kept() -> bool | None:
        return await visitor.go(letter) == 200 or None

    await until(kept, what="the dead letter")
    pages = ("operator", "home", "audit", "live", "dead-letters", "configuration", "configuration/1")
    for path in (*(f"all/{one}" for one in pages), letter):
        await _check(visitor, path)
    await visitor.go("all/live")
    await expect(visitor.page.get_by_text("Following")).to_be_visible()
    await expect(visitor.page.get_by_role("row", name="relay works")).to_be_visible()


async def test_signing_in_says_what_is_wrong_and_is_light(visitor: Visitor, scene: Scene) -> None:
    await _check(visitor, "sign-in")
    await visitor.page.get_by_label("API key").fill("nonsense")
    await visitor.page.get_by_role("button", name="Sign in").click()
    await expect(visitor.page.get_by_role("alert")).to_be_visible()
    await visitor.sign_in(scene.owner.key)
    bodies = [
        await (await visitor.page.request.get(f"{visitor.url}/{path}")).body()
        for path in (f"{scene.organization}/home", "static/console.css", "static/console.js", "static/icon.svg")
    ]
    assert sum(map(len, bodies)) <= MOST_BYTES


async def test_by_keyboard_alone(visitor: Visitor, scene: Scene) -> None:
    await visitor.sign_in(scene.owner.key)
    await visitor.go(f"{scene.organization}/home")
    await visitor.page.keyboard.press("Tab")
    await expect(visitor.page.get_by_role("link", name="Skip to the page")).to_be_focused()
    tab = visitor.page.get_by_role("tab", name="curl")
    await tab.focus()
    await visitor.page.keyboard.press("ArrowRight")
    await expect(visitor.page.get_by_role("tab", name="OpenAI, Python")).to_be_focused()
    await expect(visitor.page.get_by_role("tabpanel", name="OpenAI, Python")).to_be_visible()
