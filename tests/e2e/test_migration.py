"""Coming from another gateway, and leaving this one, with the commands as people run them."""

import asyncio
import json
import os
import secrets
import sys
from pathlib import Path
from typing import Any

import openai
import yaml

from deploy.local.home import ROOT
from tests.e2e.plane import Plane
from tests.stacks import CONFIG, Gateway, until

EXAMPLES = ROOT / "docs/examples/litellm"
OPENROUTER = ROOT / "docs/examples/openrouter"


async def _sluice(gateway: Gateway, *words: str) -> tuple[Any, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.cli",
        *words,
        "--json",
        "--url",
        gateway.stack.console_url,
        "--key",
        gateway.stack.operator_token(),
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return json.loads(out), err.decode()


async def test_litellm_s_teams_and_keys_work_here(gateway: Gateway) -> None:
    files = [f"--{name}={EXAMPLES / file}" for name, file in
             (("teams", "teams.csv"), ("keys", "keys.json"), ("users", "users.json"))]  # fmt: skip
    planned, _ = await _sluice(gateway, "import", "litellm", *files)
    assert {row["make"] for row in planned} >= {"account", "organization", "key", "policy"}
    made, reported = await _sluice(gateway, "import", "litellm", *files, "--apply")
    assert "not mapped: key old" in reported
    plane = Plane(gateway, 1)
    by_name = {row["name"]: row for row in made}
    assert by_name.keys() == {"nightly", "service"}
    key, organization = by_name["nightly"]["key"], by_name["nightly"]["organization"]
    await plane.becomes(400, key, organization)
    assert (await plane.ask(key, organization_id=organization)).status_code == 200
    limits = (await plane.call("GET", f"/api/organizations/{organization}/limits"))["limits"]
    assert limits.pop("all") == {"usd_per_month": "100.000000"}
    assert list(limits.values()) == [{"tokens_per_minute": 1000}]
    assert (await plane.ask(key, organization_id=organization, model="stub/large")).status_code == 403
    again, _ = await _sluice(gateway, "import", "litellm", *files, "--apply")
    assert again == []


async def test_openrouter_s_models_and_keys_work_here(gateway: Gateway, tmp_path: Path) -> None:
    """From the files that its API gives to an answer under the ID and the path that a client had there."""
    email = f"{secrets.token_hex(6)}@example.com"
    files = [f"--{name}={OPENROUTER / name}.json" for name in ("activity", "models")]
    command = ["import", "openrouter", *files, f"--keys={OPENROUTER / 'keys.json'}", "--email", email]
    made, reported = await _sluice(gateway, *command, "--out", str(tmp_path / "sluice.yaml"), "--apply")
    assert "not mapped: key retired: it is disabled" in reported
    assert "not mapped: key agents: its budget of 10 USD, of which 7.5 are left" in reported
    keys = {row["name"]: row["key"] for row in made if row.get("key")}
    assert keys.keys() == {"agents", "nightly"}
    key = keys["nightly"]
    imported = yaml.safe_load((tmp_path / "sluice.yaml").read_text())
    models = {(model["id"], model["provider"]): model for model in imported["models"]}
    assert ("openai/gpt-5-mini", "openai") in models
    rare = models["acme/rare-7b", "openrouter"]
    assert rare["pricing"] == {"prompt": "0.0000002", "completion": "0.0000004"}
    # The tests' stack has a provider in OpenRouter's place, as nobody is asked on the internet.
    served = yaml.safe_load(CONFIG.read_text())
    served["models"].append(rare | {"provider": "stub"})
    before = (await gateway.manage("GET", "/api/catalog"))["version"]
    await gateway.manage("PUT", "/api/catalog", {"document": yaml.safe_dump(served)})
    try:
        plane = Plane(gateway, 1)
        await plane.becomes(400, key)
        account = next(
            one["id"] for one in await plane.call("GET", "/api/accounts?limit=1000") if one["email"] == email
        )
        (limit,) = (await plane.call("GET", f"/api/accounts/{account}/limits"))["use"]
        assert (limit["limit"], limit["most"]) == ("usd_per_month", "20.000000")
        root = gateway.base_url.removesuffix("/api/gateway")
        async with openai.AsyncOpenAI(base_url=f"{root}/api/openrouter/v1", api_key=key) as client:

            async def answered() -> str | None:
                try:
                    answer = await client.chat.completions.create(
                        model="acme/rare-7b", messages=[{"role": "user", "content": "Hello"}]
                    )
                except openai.BadRequestError:
                    return None
                return answer.choices[0].message.content

            assert await until(answered, what="an answer of the imported model")
    finally:
        await gateway.manage("POST", "/api/catalog/rollback", {"version": before})


async def test_everything_that_one_owns_is_exported(gateway: Gateway, tmp_path: Path) -> None:
    plane = Plane(gateway, 1)
    person = await plane.person()
    organization = (await plane.call("POST", "/api/organizations", {"name": "Leaves"}, key=person.key))["id"]
    await plane.becomes(400, person.key, organization)
    for of in (None, organization):
        answer = await plane.ask(person.key, organization_id=of, tags=["t"], user="c")
        await gateway.entry(answer.headers["x-request-id"])
    counts, _ = await _sluice(gateway, "export", str(tmp_path / "a"), "--account", person.account_id)
    assert counts["requests"] == 2
    assert counts["keys"] == 1
    await _sluice(gateway, "export", str(tmp_path / "o"), "--org", organization)
    (line,) = (tmp_path / "o/requests.jsonl").read_text().splitlines()
    assert json.loads(line)["customer"] == "c"
    assert json.loads((tmp_path / "o/members.json").read_text())[0]["role"] == "owner"
    everything = "".join(file.read_text() for file in tmp_path.rglob("*") if file.is_file())
    assert person.key not in everything
    for file in tmp_path.rglob("*.json*"):
        assert file.stat().st_mode & 0o077 == 0
    pages = await plane.call("GET", f"/api/accounts/{person.account_id}/requests?limit=1", key=person.key)
    assert len(pages) == 1
    await plane.call("GET", f"/api/accounts/{person.account_id}/requests?cursor=x", key=person.key, status=400)
