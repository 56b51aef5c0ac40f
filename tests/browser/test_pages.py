"""Every page: for everybody, against hostile names, light enough."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

import openai
import pytest
import pytest_asyncio
from playwright.async_api import Browser, ViewportSize, expect

from contracts import headers as names
from contracts import topics
from contracts.alerts import AlertChanged
from contracts.clock import now_ms
from contracts.sinks import SinkReported
from libs.bus.producer import settle
from tests.browser.conftest import Visitor, visit
from tests.e2e.plane import Person, Plane
from tests.integration.publishing import raw_producer, running_producer
from tests.stacks import until

pytestmark = pytest.mark.asyncio(loop_scope="session")
AXE = (files("axe_playwright_python") / "axe.min.js").read_text()
HOSTILE = """"><img src=x onerror=alert(1)></script><script>alert(2)</script>{{7*7}}'"""
MOST_BYTES = 100_000
PAGES = (
    "home", "requests", "usage", "usage?by=team", "playground", "keys", "provider-keys", "mcp-servers", "batches",
    "limits", "members", "teams", "teams/core", "policy", "audit", "models",
    "models/compare?model=stub/echo&model=claude/echo&model=pair/500", "new-organization",
)  # fmt: skip
OPERATORS_PAGES = (
    "operator", "home", "requests", "usage", "batches", "limits", "audit", "live", "dead-letters", "sinks",
    "configuration", "configuration/1",
)  # fmt: skip
WIDE: ViewportSize = {"width": 1280, "height": 800}
LOOKS: dict[str, tuple[Literal["light", "dark"], ViewportSize, str]] = {
    "light": ("light", WIDE, "{}"),
    "phone": ("light", {"width": 390, "height": 800}, "{}"),
    "dark": ("dark", WIDE, "{runOnly: ['color-contrast', 'link-in-text-block']}"),
}
"""How a page is looked at, and what axe looks for. In the dark nothing is different but colours."""
MORE_ROWS = "{exclude: 'tbody tr:nth-child(n+13)'}"
"""Of the same form as those before; the contrast of each letter takes its time."""


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
    policy: dict[str, Any] = {
        "model_allow": ["stub/*", "pair/*", HOSTILE[:60]],
        "guardrails": {"words_deny": [HOSTILE[::-1]]},
    }
    policy["mcp"] = {"member": {"deny": [HOSTILE]}}
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
    await _batch(plane, issued["key"], organization)
    return Scene(owner, organization, request_id)


async def _batch(plane: Plane, key: str, organization: str) -> None:
    """One that has failed, for lines whose every value is hostile."""
    headers = {"X-KiloCode-OrganizationId": organization}
    line = {"custom_id": HOSTILE, "method": HOSTILE, "url": HOSTILE, "body": {"model": HOSTILE}}
    async with openai.AsyncOpenAI(base_url=plane.gateway.base_url, api_key=key, default_headers=headers) as client:
        content = f"{HOSTILE}\n{json.dumps(line)}\n".encode()
        file = await client.files.create(file=(HOSTILE, content), purpose="batch")
        batch = await client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )

        async def failed() -> bool | None:
            return (await client.batches.retrieve(batch.id)).status == "failed" or None

        await until(failed, what="the end of the batch")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def looking(browser: Browser, plane: Plane, scene: Scene) -> AsyncIterator[Visitor]:
    """The owner, signed in once for all pages."""
    context = await browser.new_context(viewport=WIDE, reduced_motion="reduce")
    visitor = await visit(context, plane)
    await visitor.sign_in(scene.owner.key)
    yield visitor
    await context.close()


async def _check(visitor: Visitor, path: str) -> None:
    """In light, in the dark and on a phone: the page is the same, and only its style sheet tells them apart."""
    page = visitor.page
    assert await visitor.go(path) == 200
    # Isolated worlds are not bound by the page's policy; a script tag would be.
    await page.evaluate(AXE)
    for look, (scheme, size, wanted) in LOOKS.items():
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        await page.set_viewport_size(size)
        found = await page.evaluate(f"axe.run({MORE_ROWS}, {wanted})")
        grave = [
            (one["id"], node["html"][:200])
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]
        assert grave == [], (path, look)
        wider = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wider <= 0, (path, look)
    assert visitor.problems == [], path


@pytest.mark.parametrize("name", PAGES)
async def test_a_page_is_for_everybody_and_takes_names_as_text(looking: Visitor, scene: Scene, name: str) -> None:
    await _check(looking, f"{scene.organization}/{name}")
    await expect(looking.page.locator(".spaces summary")).to_contain_text(HOSTILE)


async def test_a_request_s_page(looking: Visitor, scene: Scene) -> None:
    await _check(looking, f"{scene.organization}/requests/{scene.request_id}")


async def test_the_operator_s_pages(visitor: Visitor, plane: Plane) -> None:
    await visitor.sign_in(plane.gateway.stack.operator_token())
    letter = await _dead_letter(visitor, plane)
    await _sink(visitor, plane)
    for path in (*(f"all/{one}" for one in OPERATORS_PAGES), letter):
        await _check(visitor, path)
    await visitor.go("all/live")
    await expect(visitor.page.get_by_text("Following")).to_be_visible()
    await expect(visitor.page.get_by_role("row", name="relay works")).to_be_visible()


async def _dead_letter(visitor: Visitor, plane: Plane) -> str:
    """The page of one whose every header is hostile."""
    async with raw_producer(plane.gateway.stack.bus) as producer:
        headers = [(names.TYPE, HOSTILE.encode()), (names.SUBJECT, HOSTILE.encode())]
        sent = await producer.send_and_wait(
            topics.KEY_USES.name, b"{", key=HOSTILE.encode(), headers=headers, partition=0
        )
    letter = f"all/dead-letters/{topics.KEY_USES.name}/0/{sent.offset}"

    async def kept() -> bool | None:
        answer = await visitor.page.request.get(f"{visitor.url}/{letter}")
        return answer.status == 200 or None

    await until(kept, what="the dead letter")
    return letter


async def _sink(visitor: Visitor, plane: Plane) -> None:
    """One that reports what is hostile, and an alert that says so."""
    now = now_ms()
    about = {
        "sink": "hostile",
        "kind": HOSTILE,
        "records": ["usage"],
        "group": HOSTILE,
        "lag": 1,
        "last_error": HOSTILE,
    }
    reported = SinkReported.model_validate(about | {"process": "p", "condition": "paused", "reported_at_ms": now})
    alert = AlertChanged(
        kind="provider-down", about=HOSTILE, raised=True, since_ms=now, number=1, at_ms=now, text=HOSTILE
    )
    async with running_producer(plane.gateway.stack.bus) as producer:
        await settle(
            [await producer.publish(topics.SINK_STATES, reported), await producer.publish(topics.ALERTS, alert)]
        )

    async def shown() -> bool | None:
        found = [await plane.call("GET", f"/api/{one}") for one in ("sinks", "alerts")]
        return (
            all(HOSTILE in (row["last_error"] if "lag" in row else row["text"] for row in rows) for rows in found)
            or None
        )

    await until(shown, what="the sink's report")


async def test_signing_in_says_what_is_wrong_and_is_light(visitor: Visitor, scene: Scene) -> None:
    await _check(visitor, "sign-in")
    await visitor.page.get_by_label("API key").fill("nonsense")
    await visitor.page.get_by_role("button", name="Sign in").click()
    await expect(visitor.page.get_by_role("alert")).to_be_visible()
    await visitor.sign_in_by_form(scene.owner.key)
    bodies = [
        await (await visitor.page.request.get(f"{visitor.url}/{path}")).body()
        for path in (f"{scene.organization}/home", "static/console.css", "static/console.js", "static/icon.svg")
    ]
    assert sum(map(len, bodies)) <= MOST_BYTES


async def test_by_keyboard_alone(looking: Visitor, scene: Scene) -> None:
    visitor = looking
    await visitor.page.set_viewport_size(WIDE)
    await visitor.go(f"{scene.organization}/home")
    await visitor.page.keyboard.press("Tab")
    await expect(visitor.page.get_by_role("link", name="Skip to the page")).to_be_focused()
    tab = visitor.page.get_by_role("tab", name="curl")
    await tab.focus()
    await visitor.page.keyboard.press("ArrowRight")
    await expect(visitor.page.get_by_role("tab", name="OpenAI, Python")).to_be_focused()
    await expect(visitor.page.get_by_role("tabpanel", name="OpenAI, Python")).to_be_visible()


EMPTY = {
    "requests": "Send one with a snippet from Home",
    "usage": "Send a request with a snippet from Home",
    "provider-keys": "Without one, requests use the gateway's own keys",
    "mcp-servers": "Register the first one below",
    "batches": "A client uploads a file of requests",
    "limits": "Set the first limit below",
    "home": "The first request shows up here",
}


async def test_where_there_is_nothing_a_page_says_what_to_do(visitor: Visitor, plane: Plane) -> None:
    person = await plane.person()
    await visitor.sign_in(person.key)
    for name, said in EMPTY.items():
        await _check(visitor, f"me/{name}")
        await expect(visitor.page.get_by_text(said)).to_be_visible()
    assert await visitor.go("me/requests/00000000-0000-7000-8000-000000000000") == 404
    await expect(visitor.page.get_by_role("heading", name="Nothing here")).to_be_visible()
    await visitor.page.get_by_role("link", name="Home").click()
    await visitor.page.wait_for_url("**/me/home")


async def test_on_a_phone_one_sees_where_one_is(looking: Visitor, scene: Scene) -> None:
    await looking.page.set_viewport_size(LOOKS["phone"][1])
    for name in ("home", "limits", "models"):
        await looking.go(f"{scene.organization}/{name}")
        await expect(looking.page.locator(".side nav [aria-current]")).to_be_in_viewport()
