"""An organization as one meets it: a month of usage, people with roles, teams, keys, limits, a policy, a batch, tools.

The month before today is made inside PostgreSQL and goes through metering's own triggers; today's requests went through
the gateway.
"""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import httpx
import openai

from contracts import topics
from tests.e2e.plane import Person, Plane
from tests.e2e.test_mcp import client_of, listed
from tests.integration.publishing import raw_producer
from tests.mcp_servers import ToolServer
from tests.stacks import Gateway, until

NAMES = ("ada", "grace", "linus", "margaret", "ken", "barbara", "alan", "katherine", "dennis", "radia")
MODELS = (
    # model, provider, dollars a million tokens in and out
    ("anthropic/claude-sonnet", "anthropic", 3.0, 15.0),
    ("anthropic/claude-opus", "anthropic", 5.0, 25.0),
    ("openai/gpt-large", "openai", 1.25, 10.0),
    ("openai/gpt-small", "openai", 0.25, 2.0),
    ("google/gemini-pro", "google", 1.25, 10.0),
)
TAGS, CUSTOMERS = ("review", "chat", "nightly", "docs"), ("northwind", "contoso", "initech", "umbrella")
DAYS, A_DAY = 30, 70
_MONTH = """
    create temp table fill on commit drop as
    select n, d, m, p, ($3::text[])[1 + (n * 7 % 31) % $4] as account, ($5::text[])[m] as model,
        ($6::text[])[m] as provider, case when n % 17 = 0 then 'failed' when n % 43 = 0 then 'rejected'
            when n % 61 = 0 then 'cancelled' else 'completed' end as outcome,
        (800 + n * 7919 % 9000) * (4 + d * 37 % 11) / 4 as tokens_in,
        (60 + n * 104729 % 900) * (4 + d * 37 % 11) / 4 as tokens_out, n * 31 % 7 = 0 as cached,
        (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8'
            || substr(md5(n::text), 4, 15))::uuid as id, at
    from (
        select n, d, 1 + (n * 13 % 17) % 5 as m, n * 37 % 11 as p,
            date_trunc('day', now()) - make_interval(days => d) + make_interval(secs => 25000 + n * 613 % 40000) as at
        from (select n, (1 + n % $2::int)::int as d from generate_series(1, $1::bigint) n) numbered
        where extract(isodow from now() - make_interval(days => d)) < 6 or n % 5 = 0
    ) dated;
"""
_ENTRIES = """
    insert into ledger.entries (entry_id, kind, debit_account, credit_account, amount_microdollars, posted_at)
    select id, 'charge', 'credit:' || $1::text, 'revenue',
        case when outcome = 'completed' and not cached
            then (tokens_in * ($2::float[])[m] + tokens_out * ($3::float[])[m])::bigint else 0 end, at
    from fill
"""
_USAGE = """
    insert into ledger.usage (request_id, owner, subject, account_id, organization_id, key_fingerprint, surface, model,
        provider_id, upstream_model, outcome, status, input_tokens, output_tokens, cache_read_tokens,
        cache_write_tokens, reasoning_tokens, input_image_tokens, output_image_tokens, input_audio_tokens,
        output_audio_tokens, estimated, byok, free, attempts, cost_microdollars, price_version, catalog_version,
        accepted_at, ended_at, first_byte_ms, cached_percent, tags, customer, streamed)
    select id, $1::text, $1::text, account, substr($1::text, 5), substr(md5(account), 1, 12), 'chat.completions', model,
        case when outcome = 'rejected' or cached then null else provider end, null, outcome,
        case outcome when 'completed' then 200 when 'failed' then 502 when 'cancelled' then 499 else 429 end,
        tokens_in, case when outcome = 'completed' then tokens_out else 0 end,
        case when n % 3 = 0 then tokens_in * 7 / 10 else 0 end, 0, tokens_out / 4, 0, 0, 0, 0, false, false, false,
        case when outcome = 'rejected' or cached then 0 else 1 end, amount_microdollars, 'past', 1, at,
        at + make_interval(secs => 0.6 + n * 31 % 50 / 10.0), case when outcome = 'rejected' then null
        else 240 + n * 53 % 900 end, case when cached and outcome = 'completed' then 0 end,
        to_jsonb(array[($2::text[])[1 + n % 4]]), ($3::text[])[1 + n % 4], n % 2 = 0
    from fill join ledger.entries on entry_id = id
"""


@dataclass
class Scene:
    """Who and what there is."""

    organization: str
    people: dict[str, Person] = field(default_factory=dict)
    failed_over: str = ""
    """A request that a second provider answered."""
    refused: str = ""
    """One that a limit or the policy refused."""


async def make(gateway: Gateway, tools: ToolServer, token: str) -> Scene:
    """All of it."""
    plane = Plane(gateway, 1)
    people: dict[str, Person] = {}
    for name in NAMES:
        account = (await plane.call("POST", "/api/accounts", {"email": f"{name}@acme.example"}))["id"]
        people[name] = await plane.key(account)
    ada = people["ada"]
    organization = (await plane.call("POST", "/api/organizations", {"name": "Acme Robotics"}, key=ada.key))["id"]
    scene, path = Scene(organization, people), f"/api/organizations/{organization}"
    for name in NAMES[1:]:
        await plane.join(organization, ada, people[name], "billing_manager" if name == "grace" else "member")
    await plane.call("POST", f"{path}/credit", {"usd": "250", "reference": "INV-2026-118"})
    await _rules(plane, scene)
    await _month(gateway, scene)
    await plane.becomes(400, ada.key, organization)
    await _today(plane, scene)
    await _own(plane, scene, tools, token)
    await _batches(plane, scene)
    async with raw_producer(gateway.stack.bus) as producer:
        await producer.send_and_wait(topics.KEY_USES.name, b"{", key=b"acct_1", partition=0)
    return scene


async def _rules(plane: Plane, scene: Scene) -> None:
    ada, path = scene.people["ada"], f"/api/organizations/{scene.organization}"
    policy: dict[str, Any] = {
        "model_allow": ["anthropic/*", "openai/*", "google/*", "mistral/open-*"],
        "data_collection": "deny",
        "mcp": {"member": {"deny": ["*__delete*"]}},
        "member_daily_limit_usd": "5",
        "guardrails": {"words_deny": ["Project Halcyon"], "deny": ["credit_card"], "redact": ["email"]},
    }
    await plane.call("PUT", f"{path}/policy", policy, key=ada.key)
    for team, names in (("core", NAMES[:4]), ("research", NAMES[3:7])):
        await plane.call("PUT", f"{path}/teams/{team}", key=ada.key)
        for name in names:
            await plane.call("PUT", f"{path}/teams/{team}/members/{scene.people[name].account_id}", key=ada.key)
    for scope, meters in (
        ("all", {"usd_per_month": "120", "requests_per_day": 400}),
        ("member", {"tokens_per_day": 200_000}),
        ("team:research", {"usd_per_day": "20"}),
        ("model:anthropic/claude-opus", {"requests_per_hour": 4}),
    ):
        await plane.call("PATCH", f"{path}/limits", {"scope": scope, "meters": meters}, key=ada.key)


async def _month(gateway: Gateway, scene: Scene) -> None:
    owner, columns = f"org:{scene.organization}", list(zip(*MODELS, strict=True))
    accounts = [scene.people[name].account_id for name in NAMES]
    await gateway.database.execute(
        "select ledger.ensure_month((now() - make_interval(days => d))::date) from generate_series(0, $1) d", DAYS + 1
    )
    async with gateway.database.transaction():
        await gateway.database.execute(
            _MONTH, DAYS * A_DAY, DAYS - 1, accounts, len(accounts), list(columns[0]), list(columns[1])
        )
        await gateway.database.execute(_ENTRIES, owner, list(columns[2]), list(columns[3]))
        await gateway.database.execute(_USAGE, owner, list(TAGS), list(CUSTOMERS))


async def _today(plane: Plane, scene: Scene) -> None:
    async def ask(name: str, model: str, text: str, **headers: str) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 400}
        sent = {
            "Authorization": f"Bearer {scene.people[name].key}",
            "X-KiloCode-OrganizationId": scene.organization,
            **headers,
        }
        return await plane.gateway.post(body, **sent)

    for number in range(24):
        model = MODELS[number % len(MODELS)][0]
        labels = {"X-Sluice-Customer": CUSTOMERS[number % 4], "X-Sluice-Tags": TAGS[number % 3]}
        await ask(NAMES[number % len(NAMES)], model, "Summarize the minutes. [[stub chunks=90]]", **labels)
    answer = await ask("linus", "mistral/open-weights", "Name this release.", **{"X-Sluice-Tags": "docs"})
    scene.failed_over = answer.headers["x-request-id"]
    answer = await ask("ken", "mistral/tiny:free", "Hello")
    scene.refused = answer.headers["x-request-id"]
    await ask("ada", "openai/gpt-small", "Say what Project Halcyon is.")
    await ask("ada", "openai/gpt-large", "Write a poem. [[stub error=500]]")
    for request_id in (scene.failed_over, scene.refused):
        await plane.gateway.entry(request_id)


async def _own(plane: Plane, scene: Scene, tools: ToolServer, token: str) -> None:
    """Keys of ada, a provider key, a server of tools that is called."""
    ada, path = scene.people["ada"], f"/api/organizations/{scene.organization}"
    for name in ("laptop", "ci", "notebook"):
        issued = await plane.call("POST", f"/api/accounts/{ada.account_id}/keys", {"name": name})
    await plane.call("DELETE", f"/api/keys/{issued['id']}", key=ada.key)
    key = {"key": plane.gateway.stack.stub_key(), "check": False}
    await plane.call("PUT", f"{path}/provider-keys/google", key, key=ada.key)
    server = {"url": tools.url, "headers": {"Authorization": f"Bearer {token}"}}
    await plane.call("PUT", f"{path}/mcp-servers/warehouse", server, key=ada.key)
    assert "warehouse__add" in await listed(plane, ada.key, organization=scene.organization)
    async with client_of(plane, ada.key, organization=scene.organization) as client:
        for number in range(4):
            await client.call_tool("warehouse__add", {"a": number, "b": 40})


async def _batches(plane: Plane, scene: Scene) -> None:
    """One that is answered, and one with lines that are not right."""
    organization = {"X-KiloCode-OrganizationId": scene.organization}
    async with openai.AsyncOpenAI(
        base_url=plane.gateway.base_url, api_key=scene.people["ada"].key, default_headers=organization
    ) as client:
        made = []
        for models in (["openai/gpt-small"] * 12 + ["no/such"], ["openai/gpt-small", None]):
            lines = [
                {
                    "custom_id": f"line-{number}",
                    "method": "POST",
                    "url": "/v1/chat/completions" if model else "/v1/embeddings",
                    "body": {"model": model, "messages": [{"role": "user", "content": "Classify this."}]},
                }
                for number, model in enumerate(models)
            ]
            content = "\n".join(map(json.dumps, lines)).encode()
            file = await client.files.create(file=("requests.jsonl", content), purpose="batch")
            made.append(
                await client.batches.create(
                    input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
                )
            )

        async def ended() -> bool | None:
            seen = await asyncio.gather(*(client.batches.retrieve(one.id) for one in made))
            return all(one.status in ("completed", "failed") for one in seen) or None

        await until(ended, what="the end of the batches", within_s=120)
