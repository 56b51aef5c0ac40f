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
    await _answers_are_checked(plane, gateway, person.key, organization)
    answer = await plane.ask(person.key, "mail ada@example.com", max_tokens=100)
    last = (await gateway.http.get(f"{gateway.stack.stub_url}/stub/last")).json()
    assert last["messages"][0]["content"] == "mail ada@example.com"


async def _answers_are_checked(plane: Plane, gateway: Gateway, key: str, organization: str) -> None:
    """Two of an answer's words are forbidden, then the tool that it calls."""
    for answers, rule, prompt in (
        ({"words_deny": ["the quick gateway"]}, "words_deny", "hi"),
        ({"tools_allow": ["read_*"]}, "tools_allow", "[[stub tool=1 chunks=0]]"),
        ({"json_schema": {"type": "object"}}, "json_schema", "hi"),
    ):
        policy = {**EXAMPLE, "guardrails": {"answers": answers}}
        await plane.call("PUT", f"/api/organizations/{organization}/policy", policy, key=key)
        tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
        asked = {"max_tokens": 100, "tools": tools}

        async def refused(rule: str = rule, prompt: str = prompt, asked: dict[str, object] = asked) -> str | None:
            answer = await plane.ask(key, prompt, organization, **asked)
            found = answer.json().get("error", {}).get("metadata", {}).get("rule")
            return answer.headers["x-request-id"] if found == f"guardrails.answers.{rule}" else None

        request_id = await until(refused, what=f"refusal by {rule}")
        entry = await gateway.entry(request_id)
        assert (entry["outcome"], entry["status"]) == ("failed", 403)
        assert entry["cost_microdollars"] > 0, "the provider has written it, and bills it"
        streamed = await plane.ask(key, prompt, organization, stream=True, **asked)
        assert f"guardrails.answers.{rule}" in streamed.text
        if rule == "words_deny":
            assert "the quick gateway" not in streamed.text
        assert "[DONE]" not in streamed.text
