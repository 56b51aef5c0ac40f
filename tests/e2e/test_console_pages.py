"""The web console without a browser: each page and action, by each role, in one's own organization and in another."""

import json
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi.routing import APIRoute

from contracts import topics
from contracts.alerts import AlertChanged
from contracts.clock import now_ms
from contracts.services import SINKS
from contracts.sinks import SinkReported
from libs.bus.producer import Producer, settle
from services.console.web.app import PAGES as PARTS
from tests.e2e.plane import Person, Plane
from tests.integration.publishing import raw_producer
from tests.stacks import Gateway, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

MEMBER, MANAGER, OWNER = 1, 2, 3
ROLES = {MEMBER: "member", MANAGER: "billing_manager", OWNER: "owner"}
PAGES = {
    "home": MEMBER,
    "requests": MEMBER,
    "usage": MEMBER,
    "usage.csv": MEMBER,
    "usage.parquet": MEMBER,
    "playground": MEMBER,
    "keys": MEMBER,
    "models": MEMBER,
    "models/compare?model=stub/echo&model=claude/echo": MEMBER,
    "members": MEMBER,
    "policy": MEMBER,
    "batches": MEMBER,
    "limits": MEMBER,
    "teams": MEMBER,
    "new-organization": MEMBER,
    "provider-keys": MANAGER,
    "mcp-servers": MANAGER,
    "audit": MANAGER,
}
OPERATORS = ("live", "operator", "dead-letters", "sinks", "configuration", "configuration/1")
LETTER = "dead-letters/gateway.usage.v1/0/123456"
ACTIONS = {
    "members": ({"account": "nobody@example.com", "role": "member"}, OWNER, 400),
    "members/acct_00000000000000000000/remove": ({}, OWNER, 404),
    "invitations": ({"account": "nobody", "role": "member"}, OWNER, 400),
    "invitations/inv_00000000000000000000/withdraw": ({}, OWNER, 404),
    "policy": ({"version": "0", "do": "preview"}, OWNER, 200),
    "limits": ({"version": "1", "kind": "all", "limit": "usd_per_day", "most": "many"}, OWNER, 400),
    "teams": ({"team": "No Name"}, OWNER, 400),
    "teams/nobody/delete": ({}, OWNER, 404),
    "teams/nobody/members": ({"account": "nobody"}, OWNER, 404),
    "provider-keys": ({"provider": "nothing", "key": "x"}, MANAGER, 400),
    "provider-keys/stub/test": ({}, MANAGER, 404),
    "provider-keys/stub/remove": ({}, MANAGER, 404),
    "mcp-servers": ({"name": "No Name", "url": "https://example.com/mcp"}, MANAGER, 400),
    "mcp-servers/nothing/remove": ({}, MANAGER, 404),
    "operator/accounts": ({"email": "x@example.com"}, None, 403),
    "operator/accounts/acct_00000000000000000000/link": ({}, None, 403),
    "operator/accounts/acct_00000000000000000000/disabled": ({"disabled": "yes"}, None, 403),
    "operator/accounts/acct_00000000000000000000/credit": ({"usd": "1"}, None, 403),
    f"{LETTER}/retry": ({}, None, 403),
    "configuration/1/rollback": ({"holds": "1"}, None, 403),
    "sinks/billing/backfill": ({"since": "2026-11-01T00:00"}, None, 403),
}
"""What is sent, the least role that may, and the status where it may (nothing is changed by it)."""
OWN = {
    "invitations/{invitation_id}/accept", "invitations/{invitation_id}/decline",
    "sign-out", "alert-mails", "playground", "keys", "keys/{key_id}/rotate", "keys/{key_id}/revoke", "organizations",
   "teams/{team}", "playground/{stream}", "playground/{stream}/stop", "requests/live", "requests/{request_id}",
}  # fmt: skip
"""Of who is signed in, whatever its role; tested apart."""


@dataclass
class Desk:
    """A browser of somebody who is signed in."""

    http: httpx.AsyncClient
    csrf: str = ""

    async def sign_in(self, key: str) -> httpx.Response:
        """Raises AssertionError where it does not work."""
        answer = await self.http.post("/sign-in", data={"key": key})
        home = await self.http.get(answer.headers["location"], follow_redirects=True)
        found = re.search(r'name="csrf" value="([0-9a-f]{64})"', home.text)
        assert found, home.text
        self.csrf = found[1]
        return answer

    async def send(self, path: str, fields: dict[str, str]) -> httpx.Response:
        """A form of a page of ours."""
        return await self.http.post(f"/{path}", data={"csrf": self.csrf} | fields)


@asynccontextmanager
async def desk_of(gateway: Gateway) -> AsyncIterator[Desk]:
    """Nobody is signed in yet."""
    async with httpx.AsyncClient(base_url=gateway.stack.console_url, trust_env=False, timeout=60) as http:
        yield Desk(http)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def plane(gateway: Gateway) -> Plane:
    return Plane(gateway, 1)


@pytest_asyncio.fixture(loop_scope="session")
async def desk(gateway: Gateway) -> AsyncIterator[Desk]:
    async with desk_of(gateway) as found:
        yield found


async def _organization(plane: Plane, owner: Person) -> str:
    return str((await plane.call("POST", "/api/organizations", {"name": "Rights"}, key=owner.key))["id"])


async def test_all_pages_are_in_the_table() -> None:
    routes = {
        (route.path.removeprefix("/{space}/"), method)
        for part in PARTS
        for route in part.routes.routes
        if isinstance(route, APIRoute) and route.path.startswith("/{space}/")
        for method in route.methods or ()
    }
    known = {
        *(one.partition("?")[0] for one in PAGES),
        *(one.replace("/1", "/{version}") for one in OPERATORS),
        "dead-letters/{topic}/{partition}/{offset}",
        "live/events",
        *OWN,
        *(
            re.sub("acct_0+", "{account_id}", one)
            .replace("inv_" + "0" * 20, "{invitation_id}")
            .replace("/stub/", "/{provider}/")
            .replace("/nobody/", "/{team}/")
            .replace("/nothing/", "/{name}/")
            .replace(f"{LETTER}/retry", "dead-letters/{topic}/{partition}/{offset}/{action}")
            .replace("configuration/1/", "configuration/{version}/")
            .replace("sinks/billing/", "sinks/{name}/")
            for one in ACTIONS
        ),
    }
    assert {path for path, _method in routes} == known


@pytest.mark.parametrize("rank", [*ROLES, None])
async def test_each_page_and_action_by_role(plane: Plane, desk: Desk, rank: int | None) -> None:
    owner, person = await plane.person(), await plane.person()
    organization = await _organization(plane, owner)
    if rank:
        await plane.join(organization, owner, person, ROLES[rank])
    await desk.sign_in(person.key)
    for page, least in PAGES.items():
        status = (await desk.http.get(f"/{organization}/{page}")).status_code
        assert status == (404 if rank is None else 200 if rank >= least else 403), page
    for action, (fields, needed, good) in ACTIONS.items():
        status = (await desk.send(f"{organization}/{action}", fields)).status_code
        assert status == (404 if rank is None else good if needed and rank >= needed else 403), action
    for page in (*OPERATORS, LETTER):
        assert (await desk.http.get(f"/{organization}/{page}")).status_code == (403 if rank else 404), page
        assert (await desk.http.get(f"/all/{page}")).status_code == 404, page
    assert (await desk.http.get(f"/{organization}/live/events")).status_code == (403 if rank else 404)
    for path in ("all/home", "all/audit", "all/batches", "all/live/events", "all/requests/live"):
        assert (await desk.http.get(f"/{path}")).status_code == 404, path


async def test_in_another_s_organization_nothing_is_one_s_own(plane: Plane, desk: Desk) -> None:
    """Not even what everybody may do who is signed in; the session goes on."""
    organization = await _organization(plane, await plane.person())
    person = await plane.person()
    await desk.sign_in(person.key)
    names = {
        "{request_id}": "00000000-0000-7000-8000-000000000000",
        "{stream}": "stream_" + "a" * 24,
        "{key_id}": person.key_id,
        "{team}": "core",
        "{invitation_id}": "inv_00000000000000000000",
    }
    for path in OWN:
        for name, value in names.items():
            path = path.replace(name, value)
        sent = await desk.send(f"{organization}/{path}", {"name": "x", "model": "stub/echo", "prompt": "hi"})
        assert sent.status_code in (404, 405), path
        assert (await desk.http.get(f"/{organization}/{path}")).status_code in (404, 405), path
    assert (await desk.http.get("/me/home")).status_code == 200
    assert (await desk.http.get("/me/keys")).text.count("Revoke default") == 1


async def test_the_operator_sees_all(plane: Plane, desk: Desk) -> None:
    organization = await _organization(plane, await plane.person())
    await desk.sign_in(plane.gateway.stack.operator_token())
    for page in PAGES:
        status = 404 if page == "keys" else 200
        assert (await desk.http.get(f"/{organization}/{page}")).status_code == status, page
    for page in ("home", "requests", "usage", "batches", "limits", "models", "audit", *OPERATORS):
        assert (await desk.http.get(f"/all/{page}")).status_code == 200, page


async def test_another_s_request_and_key_are_not_there(plane: Plane, desk: Desk) -> None:
    one, other = await plane.person(), await plane.person()
    answer = await plane.ask(one.key)
    await plane.gateway.entry(answer.headers["x-request-id"])
    await desk.sign_in(other.key)
    assert (await desk.http.get(f"/me/requests/{answer.headers['x-request-id']}")).status_code == 404
    path = f"/requests/{answer.headers['x-request-id']}"
    await plane.call("GET", f"/api/accounts/{other.account_id}{path}", key=other.key, status=404)
    await plane.call("GET", f"/api/accounts/{one.account_id}{path}", key=other.key, status=404)
    course = await plane.call("GET", f"/api/accounts/{one.account_id}{path}", key=one.key)
    services = [step["service"] for step in course["steps"]]
    assert set(services) == {"ingress", "policy", "rate-limit", "router", "relay", "metering"}
    assert (services[0], services[-1], course["policy_version"]) == ("ingress", "metering", 0)
    assert course["given_back_microdollars"] > 0
    for action in ("rotate", "revoke"):
        assert (await desk.send(f"me/keys/{one.key_id}/{action}", {})).status_code == 404
    await desk.sign_in(one.key)
    assert (await desk.http.get(f"/me/requests/{answer.headers['x-request-id']}")).status_code == 200


async def test_what_is_shown_once_is_made_once(plane: Plane, desk: Desk) -> None:
    person = await plane.person()
    await desk.sign_in(person.key)
    kept = "select shown_once from control.sessions where shown_once is not null"
    before = await plane.gateway.database.fetch(kept)
    minted = await desk.send("me/keys", {"name": "once", "days": "30", "scope": "inference"})
    assert (minted.status_code, minted.headers["location"]) == (303, "/me/keys")
    secret = re.compile(r'<pre id="new-key" tabindex="0">(ey[\w.-]+)</pre>')
    async with httpx.AsyncClient(base_url=desk.http.base_url, trust_env=False) as http:
        await Desk(http).sign_in(person.key)
        assert not secret.search((await http.get("/me/keys")).text), "shown in another session"
    stored = await plane.gateway.database.fetch(kept)
    shown = secret.search((await desk.http.get("/me/keys")).text)
    assert shown
    assert len(stored) == len(before) + 1
    assert not any(shown[1].encode() in row["shown_once"] for row in stored)
    await plane.becomes(400, shown[1])
    assert not secret.search((await desk.http.get("/me/keys")).text)
    assert len(await plane.call("GET", f"/api/accounts/{person.account_id}/keys")) == 2
    operator = Desk(desk.http)
    await operator.sign_in(plane.gateway.stack.operator_token())
    made = await operator.send(f"all/operator/accounts/{person.account_id}/link", {})
    assert made.status_code == 303
    page = made.headers["location"]
    assert "/sign-in?code=" in (await desk.http.get(page)).text
    assert "/sign-in?code=" not in (await desk.http.get(page)).text


async def test_limits_are_shown_with_their_use(plane: Plane, desk: Desk) -> None:
    owner = await plane.person()
    organization = await _organization(plane, owner)
    await desk.sign_in(owner.key)
    assert (await desk.send(f"{organization}/teams", {"team": "core"})).status_code == 303
    joined = await desk.send(f"{organization}/teams/core/members", {"do": "add", "account": owner.account_id})
    assert joined.status_code == 303
    page = await desk.http.get(f"/{organization}/limits")
    version = re.search(r'name="version" value="([0-9]+)"', page.text)
    assert version
    wanted = {"version": version[1], "kind": "team", "name": "core", "limit": "requests_per_day", "most": "1000"}
    assert (await desk.send(f"{organization}/limits", wanted)).status_code == 303
    assert (await desk.send(f"{organization}/limits", wanted)).status_code == 400, "the version is an old one"
    await plane.becomes(400, owner.key, organization)
    path = f"/api/organizations/{organization}/limits"

    async def used() -> bool | None:
        # A request that came before its limit is not counted by it.
        assert (await plane.ask(owner.key, organization_id=organization)).status_code == 200
        (use,) = (await plane.call("GET", path, key=owner.key))["use"]
        return use["used"] > 0 or None

    await until(used, what="the use of the team's limit")
    headers = {"Authorization": f"Bearer {owner.key}"}
    seen = (await desk.http.get(path, headers=headers)).headers["etag"]
    change = {"scope": "team:core", "meters": {"requests_per_day": 6}}
    for tag, status in ((seen, 200), (seen, 412), ("seen", 400)):
        answer = await desk.http.patch(path, json=change, headers=headers | {"If-Match": tag})
        assert answer.status_code == status


async def test_a_form_keeps_the_rules_that_it_does_not_change(plane: Plane, desk: Desk) -> None:
    owner = await plane.person()
    organization = await _organization(plane, owner)
    path = f"/api/organizations/{organization}/policy"
    rules = {
        "model_allow": [],
        "member_daily_limits_usd": {owner.account_id: "5.000000"},
        "guardrails": {
            "max_request_usd": "0.500000",
            "redact": ["email"],
            "words_deny": ["Project Nile"],
            "tools_allow": [],
            "answers": {"deny": ["secret"], "tools_allow": ["read_*"], "json_schema": {"type": "object"}},
        },
        "contents": {"prompts": True, "answers": False, "redact": ["email"], "keep_days": 7},
    }
    await plane.call("PUT", path, rules, key=owner.key)
    await desk.sign_in(owner.key)
    page = (await desk.http.get(f"/{organization}/policy")).text
    fields = {"version": "1", "do": "set", "data_collection": "deny"}
    fields |= dict(re.findall(r'<textarea[^>]* name="(\w+)"[^>]*>([^<]*)</textarea>', page))
    fields |= dict(re.findall(r'<input id="(?:most|limit)" name="(\w+)"[^>]* value="([^"]*)"', page))
    chosen = re.findall(r'<select name="(\w+)"(?:(?!</select>).)*<option value="(\w*)" selected>', page, re.DOTALL)
    assert sorted(chosen) == [("answer_secret", "deny"), ("prompt_email", "redact")]
    assert (await desk.send(f"{organization}/policy", fields | dict(chosen))).headers["location"].endswith("policy-set")
    held = await plane.call("GET", path, key=owner.key)
    shown = {name: value for name, value in held["policy"].items() if value is not None}
    guardrails = {name: value for name, value in shown.pop("guardrails").items() if value is not None}
    guardrails["answers"] = {name: value for name, value in guardrails["answers"].items() if value is not None}
    assert shown | {"guardrails": guardrails} == rules | {"data_collection": "deny"}


async def test_who_edits_says_what_was_seen(plane: Plane, desk: Desk) -> None:
    owner = await plane.person()
    organization = f"/api/organizations/{await _organization(plane, owner)}"
    headers = {"Authorization": f"Bearer {owner.key}"}
    for path, one, other in (
        (f"{organization}/policy", {"model_allow": ["stub/*"]}, {"model_allow": ["claude/*"]}),
        (f"{organization}/credit/settings", {"alert_below": "1"}, {"alert_below": "2"}),
    ):
        seen = (await desk.http.get(path, headers=headers)).headers["etag"]
        made = await desk.http.put(path, json=one, headers=headers | {"If-Match": seen})
        assert made.status_code == 200, path
        assert made.headers["etag"] == (await desk.http.get(path, headers=headers)).headers["etag"] != seen, path
        for tag, status in ((seen, 412), ("seen", 400), (made.headers["etag"], 200), ("*", 200)):
            answer = await desk.http.put(path, json=other, headers=headers | {"If-Match": tag})
            assert answer.status_code == status, (path, tag)
    held = await plane.call("GET", "/api/catalog")
    operator = {"Authorization": f"Bearer {plane.gateway.stack.operator_token()}", "If-Match": '"0"'}
    for path, body in (("", {"document": json.dumps(held["document"])}), ("/prices", {"prices": {}})):
        assert (await desk.http.put(f"/api/catalog{path}", json=body, headers=operator)).status_code == 412, path


async def test_the_operator_retries_and_drops_dead_letters(plane: Plane, desk: Desk) -> None:
    async with raw_producer(plane.gateway.stack.bus) as producer:
        sent = await producer.send_and_wait(topics.KEY_USES.name, b"canary-value", key=b"<b>", partition=0)
    letter = f"{topics.KEY_USES.name}/0/{sent.offset}"

    async def state(name: str) -> str | None:
        rows = await plane.call("GET", f"/api/dead-letters?topic={topics.KEY_USES.name}&all=true")
        return next((row["state"] for row in rows if row["id"] == name), None)

    assert await until(lambda: state(letter), what="the dead letter") == "open"
    await desk.sign_in(plane.gateway.stack.operator_token())
    shown = (await desk.http.get(f"/all/dead-letters/{letter}")).text
    assert "canary-value" not in shown
    assert "<b>" not in shown
    assert (await desk.send(f"all/dead-letters/{letter}/retry", {})).headers["location"].endswith("letter-retried")
    again = f"{topics.KEY_USES.name}/0/{sent.offset + 1}"
    assert await until(lambda: state(again), what="the record that came again") == "open"
    assert (await plane.call("POST", f"/api/dead-letters/{again}/drop"))["result"] == "dropped"
    assert (await plane.call("POST", f"/api/dead-letters/{letter}/drop"))["result"] == "done before"
    assert (await state(letter), await state(again)) == ("retried", "dropped")
    trail = (await desk.http.get("/all/audit?action=dead_letter.")).text
    assert "dead_letter.retry" in trail
    assert "dead_letter.drop" in trail


async def test_a_version_of_the_configuration_is_brought_back(plane: Plane, desk: Desk) -> None:
    await desk.sign_in(plane.gateway.stack.operator_token())
    held = await plane.call("GET", "/api/catalog")
    changed = held["document"] | {"defaults": {"model": "stub/large"}}
    made = await plane.call("PUT", "/api/catalog", {"document": json.dumps(changed), "expected": held["version"]})
    page = f"all/configuration/{held['version']}"
    assert "defaults.model" in (await desk.http.get(f"/{page}")).text
    assert (await desk.send(f"{page}/rollback", {"holds": str(held["version"])})).status_code == 400
    assert (await desk.send(f"{page}/rollback", {"holds": str(made["version"])})).status_code == 303
    assert (await plane.call("GET", "/api/catalog"))["document"] == held["document"]
    changes = await plane.call("GET", f"/api/catalog/versions/{made['version']}/changes?against={held['version']}")
    assert [one["after"] for one in changes["changes"]] == ["stub/large"]


async def test_the_operator_sees_sinks_and_orders_a_backfill(plane: Plane, desk: Desk) -> None:
    name = f"sink-{secrets.token_hex(4)}"
    reported = SinkReported(
        sink=name,
        process="sinks-1",
        kind="webhook",
        records=["charges"],
        group=f"sinks.{name}",
        condition="retrying",
        lag=4711,
        last_error="<b>503</b>",
        reported_at_ms=now_ms(),
    )
    alert = AlertChanged(
        kind="provider-down", about=name, raised=True, since_ms=now_ms(), number=1, at_ms=now_ms(), text=f"{name} fails"
    )
    producer = Producer(plane.gateway.stack.bus, SINKS)
    await producer.start()
    await settle([await producer.publish(topics.SINK_STATES, reported), await producer.publish(topics.ALERTS, alert)])
    await producer.stop()

    async def shown() -> dict[str, Any] | None:
        return next((one for one in await plane.call("GET", "/api/sinks") if one["name"] == name), None)

    state = await until(shown, what="the sink's report")
    assert (state["condition"], state["lag"], state["backfill"]) == ("retrying", 4711, None)
    await desk.sign_in(plane.gateway.stack.operator_token())
    page = (await desk.http.get("/all/sinks")).text
    assert "4,711" in page
    assert "&lt;b&gt;503" in page

    async def raised() -> bool | None:
        return any(one["about"] == name for one in await plane.call("GET", "/api/alerts")) or None

    await until(raised, what="the alert")
    for sink, since, status in (
        (name, "", 400),
        (name, "2999-01-01T00:00", 400),
        ("nothing", "2026-11-01T00:00", 400),
        (name, "2026-11-01T00:00", 303),
    ):
        answer = await desk.send(f"all/sinks/{sink}/backfill", {"since": since})
        assert answer.status_code == status, (sink, since)

    async def ordered() -> str | None:
        found = await shown()
        return found["backfill"]["since"] if found and found["backfill"] else None

    assert await until(ordered, what="the backfill that was ordered") == "2026-11-01T00:00:00Z"
    assert f'title="{name}">{name}</td>' in (await desk.http.get("/all/audit?action=sink.")).text
    person = await plane.person()
    for method, path in (("GET", "sinks"), ("GET", "alerts"), ("POST", f"sinks/{name}/backfills")):
        body = {"since": "2026-11-01T00:00:00Z"} if method == "POST" else None
        await plane.call(method, f"/api/{path}", body, key=person.key, status=403)


async def test_usage_by_team(plane: Plane) -> None:
    owner, member = await plane.person(), await plane.person()
    organization = await _organization(plane, owner)
    path = f"/api/organizations/{organization}"
    await plane.join(organization, owner, member)
    for team in ("core", "other"):
        await plane.call("PUT", f"{path}/teams/{team}", key=owner.key, status=201)
        await plane.call("PUT", f"{path}/teams/{team}/members/{owner.account_id}", key=owner.key)
    for person in (owner, member):
        await plane.becomes(400, person.key, organization)
        answer = await plane.ask(person.key, organization_id=organization)
        await plane.gateway.entry(answer.headers["x-request-id"])
    since = "2026-01-01T12:00:00Z"
    rows = await plane.call("GET", f"{path}/usage?by=team&since={since}", key=owner.key)
    assert {row["team"]: row["requests"] for row in rows} == {"core": 1, "other": 1, "": 1}
    rows = await plane.call("GET", f"{path}/usage?by=team&since={since}", key=member.key)
    assert [(row["team"], row["requests"]) for row in rows] == [("", 1)]
    for nobodys in ("/api/usage", f"/api/accounts/{owner.account_id}/usage"):
        await plane.call("GET", f"{nobodys}?by=team", status=400)


async def test_a_rotated_key_keeps_its_limits(plane: Plane, desk: Desk) -> None:
    person = await plane.person()
    account = f"/api/accounts/{person.account_id}"
    limited = await plane.call("POST", f"{account}/keys", {"limits": {"usd_per_month": "5"}})
    await desk.sign_in(person.key)
    assert (await desk.send(f"me/keys/{limited['id']}/rotate", {})).status_code == 303
    *_, newest = await plane.call("GET", f"{account}/keys")
    shown = await plane.call("GET", f"{account}/limits")
    assert shown["limits"] == {f"key:{newest['fingerprint']}": {"usd_per_month": "5.000000"}}


async def test_a_key_is_minted_with_a_limit(plane: Plane, desk: Desk) -> None:
    person = await plane.person()
    await desk.sign_in(person.key)
    key = {"name": "small", "days": "30", "scope": "inference"}
    for change, status in (
        ({"most": "many"}, 400),
        ({"most": "-1"}, 400),
        ({"most": "5", "scope": "manage"}, 400),
        ({"most": "$5"}, 303),
    ):
        assert (await desk.send("me/keys", key | change)).status_code == status, change
    _first, made = await plane.call("GET", f"/api/accounts/{person.account_id}/keys")
    shown = await plane.call("GET", f"/api/accounts/{person.account_id}/limits")
    assert shown["limits"] == {f"key:{made['fingerprint']}": {"usd_per_month": "5.000000"}}


async def test_requests_are_found_by_what_they_are(plane: Plane, desk: Desk) -> None:
    person = await plane.person()
    second = await plane.key(person.account_id)
    ids = {}
    for name, key, model in (("one", person.key, "stub/echo"), ("two", second.key, "claude/echo")):
        answer = await plane.ask(key, model=model)
        ids[name] = answer.headers["x-request-id"]
        await plane.gateway.entry(ids[name])
    await desk.sign_in(person.key)
    keys = await plane.call("GET", f"/api/accounts/{person.account_id}/keys", key=person.key)
    for query, found in (
        ("", {"one", "two"}),
        ("model=stub/echo", {"one"}),
        ("model=stub/large", set()),
        (f"key={keys[1]['fingerprint']}", {"two"}),
        ("key=0000000000000000", set()),
        ("outcome=completed&span=1h", {"one", "two"}),
        ("outcome=failed", set()),
        (f"model=claude/echo&key={keys[0]['fingerprint']}", set()),
        ("status=200&cost=0.000001&took=0.001", {"one", "two"}),
        ("status=429", set()),
        ("cost=1", set()),
        ("took=600", set()),
    ):
        page = (await desk.http.get(f"/me/requests?{query}")).text
        assert {name for name, request_id in ids.items() if f"/me/requests/{request_id}" in page} == found, query
    for query, names in (("status=200&least_usd=0.000001&least_ms=1", {"one", "two"}), ("outcome=failed", set())):
        listed = await plane.call("GET", f"/api/accounts/{person.account_id}/requests?{query}", key=person.key)
        assert {one["request_id"] for one in listed} == {ids[name] for name in names}, query
    account = f"/api/accounts/{person.account_id}"
    await plane.call("GET", f"{account}/requests?least_usd=9999999999", key=person.key, status=400)
    await plane.call("POST", f"{account}/credit", {"usd": "9999999999"}, status=400)
    await plane.call("PUT", f"{account}/credit/settings", {"alert_below": "9999999999"}, key=person.key, status=400)


async def test_members_are_named_by_their_addresses_and_others_by_their_ids(plane: Plane, desk: Desk) -> None:
    owner, member = await plane.person(), await plane.person()
    organization = await _organization(plane, owner)
    await plane.join(organization, owner, member)
    await plane.becomes(400, member.key, organization)
    answer = await plane.ask(member.key, organization_id=organization)
    request_id = answer.headers["x-request-id"]
    await plane.gateway.entry(request_id)
    await desk.sign_in(owner.key)
    pages = (f"{organization}/requests", f"{organization}/requests/{request_id}", f"{organization}/home")
    for page in pages:
        assert member.email in (await desk.http.get(f"/{page}")).text, page
    found = await desk.http.get(f"/{organization}/requests", params={"member": member.email})
    assert f'id="r{request_id}"' in found.text
    assert owner.email in (await desk.http.get(f"/{organization}/audit")).text
    # Who is no member any more is known by the ID alone, and so is whoever somebody guesses.
    await plane.call("DELETE", f"/api/organizations/{organization}/members/{member.account_id}", key=owner.key)
    for page in pages:
        text = (await desk.http.get(f"/{page}")).text
        assert (member.email in text, member.account_id in text) == (False, True), page
    found = await desk.http.get(f"/{organization}/requests", params={"member": member.email})
    assert f'id="r{request_id}"' not in found.text


async def test_a_provider_whose_place_another_took_has_failed(plane: Plane, desk: Desk) -> None:
    person = await plane.person()
    await plane.becomes(400, person.key)
    answer = await plane.ask(person.key, model="pair/500")
    assert answer.status_code == 200
    await plane.gateway.entry(answer.headers["x-request-id"])
    await desk.sign_in(plane.gateway.stack.operator_token())
    page = (await desk.http.get("/all/operator")).text
    row = re.search(r'<th scope="row">first</th><td class="num">(\d+)</td><td class="num">(\d+)</td>', page)
    assert row
    assert int(row[2]) >= 1
    assert "mcp/" not in page


async def test_forms_of_other_sites_are_refused(plane: Plane, desk: Desk) -> None:
    person = await plane.person()
    cookie = (await desk.sign_in(person.key)).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    fields = {"name": "x", "days": "30", "scope": "inference"}
    assert (await desk.http.post("/me/keys", data=fields)).status_code == 403
    assert (await desk.http.post("/me/keys", data=fields | {"csrf": "0" * 64})).status_code == 403
    good = fields | {"csrf": desk.csrf}
    for headers in ({"Origin": "https://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        assert (await desk.http.post("/me/keys", data=good, headers=headers)).status_code == 403
        assert (await desk.http.post("/sign-in", data={"key": person.key}, headers=headers)).status_code == 403
    assert (await desk.http.post("/me/keys", json=good)).status_code == 400
    assert (await desk.http.post("/me/keys", data=good)).status_code == 303
    # The API takes no cookie.
    assert (await desk.http.get("/api/me")).status_code == 401


async def test_a_session_ends_with_its_key_and_by_signing_out(plane: Plane, desk: Desk) -> None:
    person = await plane.person()
    await desk.sign_in(person.key)
    await plane.call("DELETE", f"/api/keys/{person.key_id}")
    assert (await desk.http.get("/me/home")).headers["location"] == "/sign-in?next=/me/home"
    again = await plane.key(person.account_id)
    await desk.sign_in(again.key)
    kept = dict(desk.http.cookies)
    assert (await desk.send("me/sign-out", {})).status_code == 303
    desk.http.cookies.update(kept)
    assert (await desk.http.get("/me/home")).status_code == 303
    desk.http.cookies.clear()
    caller = await plane.key(person.account_id, "inference")
    assert (await desk.http.post("/sign-in", data={"key": caller.key})).status_code == 403
    for next_ in ("//evil.example", "https://evil.example", "/\\evil.example"):
        answer = await desk.http.post("/sign-in", data={"key": again.key, "next": next_})
        assert answer.headers["location"] == "/"


async def test_pages_say_what_browsers_may_do(plane: Plane, desk: Desk) -> None:
    await desk.sign_in((await plane.person()).key)
    for path in ("/me/home", "/sign-in", "/nowhere", "/static/console.js", "/me/usage.csv"):
        headers = (await desk.http.get(path)).headers
        assert "default-src 'none'" in headers["content-security-policy"], path
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
    for bad in ("usage?days=1000", "requests?cursor=x", "usage?by=colour", "audit?cursor=MQ"):
        assert (await desk.http.get(f"/me/{bad}")).status_code == 400, bad
    assert (await desk.http.get("/static/..%2fpages.py")).status_code == 404


async def test_a_key_that_nobody_has_used_nothing_and_who_has_none_used_free_models(plane: Plane) -> None:
    assert await plane.call("GET", "/api/usage?key=0000000000000000") == []
    assert all(row["model"].endswith(":free") for row in await plane.call("GET", "/api/usage?key="))


async def test_lists_of_the_api_come_in_pages(plane: Plane, desk: Desk) -> None:
    person = await plane.person()
    for _ in range(4):
        await plane.key(person.account_id)
    path = f"/api/accounts/{person.account_id}/keys"
    whole = [row["id"] for row in await plane.call("GET", path, key=person.key)]
    seen: list[str] = []
    following: str | None = f"{path}?limit=2"
    while following:
        answer = await desk.http.get(following, headers={"Authorization": f"Bearer {person.key}"})
        seen += [row["id"] for row in answer.json()]
        following = answer.links.get("next", {}).get("url")
    assert seen == whole
    assert len(whole) == 5
    await plane.call("GET", f"{path}?cursor=nonsense", key=person.key, status=400)
