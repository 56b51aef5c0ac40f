"""An organization's guardrails, set from the example, before its members' requests."""

import yaml

from deploy.local.home import ROOT
from tests.e2e.plane import Plane
from tests.hook_receiver import hook_receiver
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
    assert await refused("patterns.codename", "about Blue Heron")
    tool = {"type": "function", "function": {"name": "delete_all", "parameters": {}}}
    assert await refused("tools_allow", tools=[tool])
    await until(lambda: refused("conditions.no-nightly-batches", tags=["nightly"]), what="refusal by a condition")
    bad = {"guardrails": {"conditions": [{"name": "a", "refuse_when": "tags.all(t, true)"}]}}
    await plane.call("PUT", f"/api/organizations/{organization}/policy", bad, key=person.key, status=400)
    answer = await plane.ask(person.key, "hi", organization, max_tokens=100_000)
    assert answer.json()["error"]["metadata"]["rule"] == "guardrails.max_request_usd"
    for stream in (False, True):
        answer = await plane.ask(
            person.key,
            "mail ada@example.com, card 4111 1111 1111 1111, Proj-1234",
            organization,
            max_tokens=100,
            stream=stream,
        )
        assert answer.status_code == 200, answer.text
        last = (await gateway.http.get(f"{gateway.stack.stub_url}/stub/last")).json()
        assert last["messages"][0]["content"] == "mail [EMAIL], card [CREDIT_CARD], [TICKET]"
    await _answers_are_checked(plane, gateway, person.key, organization)
    answer = await plane.ask(person.key, "mail ada@example.com", max_tokens=100)
    last = (await gateway.http.get(f"{gateway.stack.stub_url}/stub/last")).json()
    assert last["messages"][0]["content"] == "mail ada@example.com"


async def test_a_webhook_of_the_organization_decides_before_and_after(gateway: Gateway) -> None:
    plane = Plane(gateway, 1)
    person = await plane.person()
    organization = (await plane.call("POST", "/api/organizations", {"name": "H"}, key=person.key))["id"]
    path = f"/api/organizations/{organization}"
    await plane.call("PUT", f"{path}/guardrail-webhook", {"url": "https://10.0.0.1/x"}, key=person.key, status=400)
    async with hook_receiver("") as webhook:
        made = await plane.call("PUT", f"{path}/guardrail-webhook", {"url": webhook.url}, key=person.key)
        webhook.secret = made["secret"]
        rules = {"guardrails": {"webhook": {"before": True, "after": True, "timeout_ms": 10_000}}}
        await plane.call("PUT", f"{path}/policy", rules, key=person.key)

        async def asked() -> bool | None:
            answer = await plane.ask(person.key, "hello webhook", organization, max_tokens=100)
            return (answer.status_code == 200 and len(webhook.asked) >= 2) or None

        await until(asked, what="an answer that the webhook has seen")
        before, after = webhook.asked[-2:]
        assert before["data"]["request"]["messages"][0]["content"] == "hello webhook"
        assert after["type"] == "guardrail.after" and "choices" in after["data"]["answer"]
        streamed = await plane.ask(person.key, "hi", organization, stream=True, max_tokens=100)
        assert streamed.text.rstrip().endswith("[DONE]")
        webhook.answer = {"action": "refuse", "message": "Not here."}
        answer = await plane.ask(person.key, "hi", organization, stream=True, max_tokens=100)
        assert (answer.status_code, answer.json()["error"]["metadata"]["rule"]) == (403, "guardrails.webhook.before")
        assert webhook.asked[-1]["type"] == "guardrail.before"
        entry = await gateway.entry(answer.headers["x-request-id"])
        assert (entry["outcome"], entry["cost_microdollars"]) == ("rejected", 0)
    # It is away, and the rules are closed.
    answer = await plane.ask(person.key, "hi", organization, max_tokens=100)
    assert (answer.status_code, answer.json()["error"]["metadata"]["rule"]) == (503, "guardrails.webhook.before")
    shown = await plane.call("GET", f"{path}/guardrail-webhook", key=person.key)
    assert (shown["url"], made["secret"] in str(shown)) == (webhook.url, False)


async def _answers_are_checked(plane: Plane, gateway: Gateway, key: str, organization: str) -> None:
    """Two of an answer's words are forbidden, then the tool that it calls."""
    for answers, rule, prompt in (
        ({"words_deny": ["the quick gateway"]}, "words_deny", "hi"),
        (
            {"patterns": [{"name": "gateway", "regex": "the quick gatew[a-z]{2}", "action": "deny"}]},
            "patterns.gateway",
            "hi",
        ),
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
