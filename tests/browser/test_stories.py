"""A story for each role: from signing in to an organization that is limited, has its own key, and is audited."""

import re
import secrets
from typing import Any

import pytest
from playwright.async_api import Browser, Dialog, Page, expect

from tests.browser.conftest import Visitor
from tests.e2e.plane import Plane
from tests.stacks import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


def _accept(page: Page) -> None:
    async def accept(dialog: Dialog) -> None:
        await dialog.accept()

    page.on("dialog", accept)


async def test_an_owner_builds_an_organization(visitor: Visitor, plane: Plane) -> None:
    owner, member = await plane.person(), await plane.person()
    page = visitor.page
    _accept(page)
    link = await plane.call("POST", "/api/sign-in-links", {}, key=owner.key)
    await page.goto(visitor.url + link["path"])
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("**/me/home")

    # An organization with a member.
    await page.get_by_label("Choose a space").click()
    await page.get_by_role("link", name="New organization").click()
    name = f"Acme {secrets.token_hex(3)}"
    await page.get_by_label("Name").fill(name)
    await page.get_by_role("button", name="Create").click()
    await page.wait_for_url("**/members")
    organization = page.url.split("/")[-2]
    await page.get_by_label("E-mail address or account ID").fill(member.account_id)
    await page.get_by_role("button", name="Invite", exact=True).click()
    await expect(page.get_by_role("status")).to_have_text("The invitation is made. It is open for seven days.")
    invited = await plane.call("GET", "/api/invitations", key=member.key)
    await plane.call("POST", f"/api/invitations/{invited[0]['id']}/accept", key=member.key)
    await page.reload()
    await expect(page.get_by_role("row")).to_have_count(3)

    # A policy: previewed, not yet set; then set, and it holds.
    await page.get_by_role("link", name="Policy").click()
    await page.get_by_label("Models", exact=True).fill("stub/*")
    await page.get_by_label("A member's spending a day, in USD").fill("1.50")
    await page.get_by_role("button", name="Preview").click()
    await expect(page.get_by_role("heading", name="This draft, over the last day")).to_be_visible()
    await expect(page.get_by_role("row", name="claude/echo")).to_contain_text("not on the list")
    await expect(page.get_by_text("None was ever set")).to_be_visible()
    await page.get_by_role("button", name="Set as version 1").click()
    await expect(page.get_by_text("Version 1, set by")).to_be_visible()
    await expect(page.get_by_label("A member's spending a day, in USD")).to_have_value("1.5")

    # A limit of each member, that is in force by the time it is shown.
    await page.get_by_role("link", name="Limits", exact=True).click()
    await page.get_by_label("Of", exact=True).select_option("member")
    await page.get_by_label("Limit", exact=True).select_option("requests_per_day")
    await page.get_by_label("At most").fill("500")
    await page.get_by_role("button", name="Set", exact=True).click()
    await expect(page.get_by_role("row", name="each member")).to_contain_text("500")

    # A key, shown once.
    await page.get_by_role("link", name="API keys").click()
    await page.get_by_label("Name").fill("from the browser")
    await page.get_by_role("button", name="Mint the key").click()
    key = await page.locator("#new-key").inner_text()
    await plane.becomes(400, key, organization)
    await page.goto(f"{visitor.url}/{organization}/keys")
    await expect(page.get_by_text(key)).to_have_count(0)

    # Requests as they end: one that the policy refuses, and one that it allows.
    await page.get_by_role("link", name="Requests").click()
    await page.get_by_role("button", name="Follow live").click()
    await expect(page.get_by_role("button", name="Following")).to_be_visible()
    assert (await plane.ask(key, organization_id=organization, model="claude/echo")).status_code == 403
    await expect(page.locator("#rows tr").first).to_contain_text("rejected 403")
    assert (await plane.ask(key, organization_id=organization)).status_code == 200
    await expect(page.locator("#rows tr").first).to_contain_text("completed")
    await page.locator("#rows a").first.click()
    await expect(page.get_by_role("heading", name="Money")).to_be_visible()
    await expect(page.get_by_text(f"credit:org:{organization} → revenue")).to_be_visible()

    # A provider key of one's own.
    await page.get_by_role("link", name="Provider keys").click()
    await page.get_by_label("Provider", exact=True).select_option("stub")
    await page.get_by_label("Key", exact=True).fill(plane.gateway.stack.stub_key())
    await page.get_by_role("button", name="Seal and store").click()
    await expect(page.get_by_role("status")).to_contain_text("on its way to the vault")

    async def stored() -> list[Any] | None:
        path = f"/api/organizations/{organization}/provider-keys"
        return await plane.call("GET", path, key=owner.key) or None

    await until(stored, what="the stored key")
    await page.get_by_role("link", name="Provider keys").click()
    await expect(page.get_by_role("rowheader", name="stub")).to_be_visible()

    # The end of the key, and the trail of it all.
    await page.get_by_role("link", name="API keys").click()
    await page.get_by_role("button", name="Revoke from the browser").click()
    await expect(page.get_by_role("status")).to_contain_text("revoked")
    await plane.becomes(401, key)
    await page.goto(f"{visitor.url}/{organization}/audit")
    for action in ("organization.create", "member.set", "policy.set", "provider_key.put"):
        await expect(page.get_by_role("rowheader", name=action).first).to_be_visible()
    assert visitor.problems == []


async def test_a_member_sees_its_own_and_changes_nothing(visitor: Visitor, plane: Plane) -> None:
    owner, member = await plane.person(), await plane.person()
    organization = (await plane.call("POST", "/api/organizations", {"name": "Team"}, key=owner.key))["id"]
    await plane.join(organization, owner, member)
    for person in (owner, member):
        await plane.becomes(400, person.key, organization)
        answer = await plane.ask(person.key, organization_id=organization)
        await plane.gateway.entry(answer.headers["x-request-id"])
    page = visitor.page
    await visitor.sign_in(member.key)
    await visitor.go("me/home")
    await page.get_by_label("Choose a space").click()
    await page.get_by_role("link", name="Team").click()
    await expect(page.get_by_role("heading", name="Team")).to_be_visible()
    for hidden in ("Provider keys", "Audit trail", "Operator"):
        await expect(page.get_by_role("link", name=hidden)).to_have_count(0)
    await page.get_by_role("link", name="Policy").click()
    await expect(page.get_by_role("button", name="Preview")).to_have_count(0)
    await page.get_by_role("link", name="Members").click()
    await expect(page.get_by_role("button", name="Leave")).to_have_count(1)
    await expect(page.get_by_role("button", name="Remove")).to_have_count(0)

    await visitor.go(f"{organization}/requests")
    await expect(page.locator("#rows tr")).to_have_count(1)
    await expect(page.locator("#rows")).to_contain_text(member.email[:20])
    assert visitor.problems == []


async def test_a_billing_manager_sees_all_that_is_spent_and_adds_a_provider_key(visitor: Visitor, plane: Plane) -> None:
    owner, manager = await plane.person(), await plane.person()
    organization = (await plane.call("POST", "/api/organizations", {"name": "Books"}, key=owner.key))["id"]
    path = f"/api/organizations/{organization}"
    invited = {"account": manager.account_id, "role": "billing_manager"}
    await plane.call("POST", f"{path}/invitations", invited, key=owner.key)
    await plane.becomes(400, owner.key, organization)
    answer = await plane.ask(owner.key, organization_id=organization)
    await plane.gateway.entry(answer.headers["x-request-id"])
    page = visitor.page
    await visitor.sign_in(manager.key)
    await visitor.go("me/home")
    await page.get_by_role("button", name="Accept the invitation to Books").click()
    await expect(page.get_by_role("heading", name="Books")).to_be_visible()

    # What others spent, by member and as a table below the chart.
    await page.get_by_role("link", name="Usage").click()
    await page.get_by_role("link", name="by member").click()
    await expect(page.get_by_role("region", name="Usage by member")).to_contain_text("@example.com")
    await page.get_by_text("The figures, day by day").click()
    await expect(page.get_by_role("region", name="Figures by day")).to_be_visible()
    await page.get_by_role("link", name="Requests").click()
    await expect(page.locator("#rows")).to_contain_text(owner.email[:20])

    # It manages keys of providers, reads the trail, and sets neither policy nor limits nor roles.
    await page.get_by_role("link", name="Provider keys").click()
    await page.get_by_label("Provider", exact=True).select_option("stub")
    await page.get_by_label("Key", exact=True).fill(plane.gateway.stack.stub_key())
    await page.get_by_role("button", name="Seal and store").click()
    await expect(page.get_by_role("status")).to_contain_text("on its way to the vault")
    for place, button in (("Policy", "Preview"), ("Limits", "Set"), ("Members", "Invite")):
        await page.get_by_role("link", name=place, exact=True).click()
        await expect(page.get_by_role("heading", name=place, exact=True)).to_be_visible()
        await expect(page.get_by_role("button", name=button, exact=True)).to_have_count(0)
    await page.get_by_role("link", name="Audit trail").click()
    await expect(page.get_by_role("rowheader", name="provider_key.put").first).to_be_visible()
    assert visitor.problems == []


async def test_the_playground_streams_and_compares(visitor: Visitor, plane: Plane) -> None:
    person, page = await plane.person(), visitor.page
    await visitor.sign_in(person.key)
    await visitor.go("me/home")
    await page.get_by_role("link", name="Playground").click()
    await page.get_by_label("Model", exact=True).select_option("stub/echo")
    await page.get_by_label("Compare with").select_option("claude/echo")
    await page.get_by_label("Prompt").fill("Hello")
    await page.get_by_role("button", name="Send").click()
    for model in ("stub/echo", "claude/echo"):
        run = page.locator("[data-run]", has=page.get_by_role("heading", name=model))
        await expect(run.locator(".answer")).not_to_be_empty()
        await expect(run.locator(".run-facts")).to_contain_text(re.compile(r"\d tokens in, 8 out · \$0\.000\d{3} · "))
        await expect(run.get_by_role("link", name="Its cost and entry")).to_be_visible()

    # Loaded again in the middle, it goes on where it was.
    await page.get_by_label("Prompt").fill("[[stub chunks=60 gap_ms=40]]")
    await page.get_by_role("button", name="Send").click()
    answers = page.locator(".answer")
    for number in range(2):
        await expect(answers.nth(number)).to_contain_text("quick gateway")
    await page.reload()
    for number in range(2):
        await expect(page.locator(".run-facts").nth(number)).to_contain_text("went on after the page was loaded again")
        await expect(page.locator("[data-run] a").nth(number)).to_be_visible()
        assert len((await answers.nth(number).inner_text()).split()) == 60

    # Stopped in the middle, it is charged for what was written.
    await page.get_by_label("Model", exact=True).select_option("stub/echo")
    await page.get_by_label("Prompt").fill("[[stub chunks=2000 gap_ms=40]]")
    await page.get_by_role("button", name="Send").click()
    await expect(answers.first).to_contain_text("quick gateway")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.locator(".run-facts").first).to_contain_text("stopped; what was written is charged")
    request = page.locator("[data-run] a").first
    await expect(request).to_be_visible()
    entry = await plane.gateway.entry(str(await request.get_attribute("href")).rpartition("/")[2])
    assert entry["outcome"] == "cancelled"
    assert 0 < entry["output_tokens"] < 2000
    await expect(page.get_by_role("button", name="Stop")).to_be_hidden()
    assert visitor.problems == []


async def test_the_operator_lets_somebody_in_and_locks_them_out(
    visitor: Visitor, plane: Plane, browser: Browser
) -> None:
    page, email = visitor.page, f"{secrets.token_hex(6)}@example.com"
    _accept(page)
    await visitor.sign_in(plane.gateway.stack.operator_token())
    await visitor.go("all/home")
    await page.get_by_role("link", name="Operator").click()
    await page.get_by_label("E-mail address").fill(email)
    await page.get_by_role("button", name="Create").click()
    link = await page.locator("#link").inner_text()
    other = await browser.new_context()
    theirs = await other.new_page()
    await theirs.goto(link)
    await theirs.get_by_role("button", name="Sign in").click()
    await theirs.wait_for_url("**/me/home")
    await theirs.goto(link)
    await theirs.get_by_role("button", name="Sign in").click()
    await expect(theirs.get_by_role("alert")).to_contain_text("was used")
    await page.goto(f"{visitor.url}/all/operator?q={email}")
    await page.get_by_role("button", name=f"Disable {email}").click()
    await expect(page.get_by_role("status")).to_contain_text("changed")
    await theirs.goto(f"{visitor.url}/me/home")
    await expect(theirs.get_by_role("heading", name="Sign in")).to_be_visible()
    await other.close()
    assert visitor.problems == []
