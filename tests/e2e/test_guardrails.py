"""An organization's guardrails, set from the example, before its members' requests."""

import yaml

from deploy.local.home import ROOT
from tests.e2e.plane import Plane
from tests.stacks import Gateway, until

EXAMPLE = yaml.safe_load((ROOT / "docs/examples/guardrails.yaml").read_text())


async def test_prompts_are_redacted_and_what_is_not_allowed_is_refused_by_its_rule(gateway: Gateway) -> None:
    plane = Plane(gateway, 1)
    person = await plane.person()
    organization = (await plane.call("POST", "/api/organizations", {"name": "G"}, key=person.key))["id"]
    await plane.call("PUT", f"/api/organizations/{organization}/policy", EXAMPLE, key=person.key)
    shown = await plane.call("GET", f"/api/organizations/{organization}/policy", key=person.key)
    assert shown["policy"]["guardrails"]["max_request_usd"] == "0.050000"

    async def refused(rule: str, text: str = "hi", **more: object) -> bool | None:
        answer = await plane.ask(person.key, text, organization, max_tokens=100, **more)
        return (
            answer.status_code == 403 and answer.json()["error"]["metadata"]["rule"] == f"guardrails.{rule}"
        ) or None

    await plane.becomes(400, person.key, organization)
    await until(lambda: refused("words_deny", "about Project Bluebird"), what="refusal by a word")
    tool = {"type": "function", "function": {"name": "delete_all", "parameters": {}}}
    assert await refused("tools_allow", tools=[tool])
    answer = await plane.ask(person.key, "hi", organization, max_tokens=100_000)
    assert answer.json()["error"]["metadata"]["rule"] == "guardrails.max_request_usd"
    for stream in (False, True):
        answer = await plane.ask(
            person.key, "mail ada@example.com, card 4111 1111 1111 1111", organization, max_tokens=100, stream=stream
        )
        assert answer.status_code == 200, answer.text
        last = (await gateway.http.get(f"{gateway.stack.stub_url}/stub/last")).json()
        assert last["messages"][0]["content"] == "mail [EMAIL], card [CREDIT_CARD]"
    answer = await plane.ask(person.key, "mail ada@example.com", max_tokens=100)
    last = (await gateway.http.get(f"{gateway.stack.stub_url}/stub/last")).json()
    assert last["messages"][0]["content"] == "mail ada@example.com"
