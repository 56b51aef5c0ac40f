"""``top``, ``tail`` and ``status``, as an operator runs them beside a stack that works."""

import asyncio
import json
import os
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from deploy.local.home import ROOT, Home
from tests.stacks import Gateway, NotYet, chat, until

MODELS = ("stub/echo", "claude/echo")
QUOTA = "metered"
CANARY = "what-a-prompt-says"


@pytest.fixture
def home(gateway: Gateway, tmp_path: Path) -> Path:
    """A folder from which this stack seems to run."""
    up = Home(tmp_path / "up")
    up.prepare()
    up.save(replace(gateway.stack.state(), pid=_pytest().pid))
    return tmp_path


def _pytest() -> psutil.Process:
    """The process that commands know as one that may run a stack: this one, or the parent of several at once."""
    this = psutil.Process()
    return next(one for one in (this, *this.parents()) if any("pytest" in part for part in one.cmdline()))


async def _sluice(home: Path, *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        str(ROOT / "sluice"),
        *words,
        env=os.environ | {"SLUICE_HOME": str(home)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def _json(home: Path, *words: str) -> Any:
    process = await _sluice(home, *words, "--json")
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return json.loads(out)


async def test_top_shows_what_goes_on_and_what_is_used_of_keys(gateway: Gateway, home: Path) -> None:
    """Requests go on until a reading has them."""

    async def asks() -> None:
        while True:
            await asyncio.gather(*(gateway.post(chat("hi", model=model)) for model in MODELS))

    async def seen() -> dict[str, Any] | NotYet:
        found: dict[str, Any] = await _json(home, "top", "--once", "--every", "0.5")
        models = {row["model"] for row in found["models"]}
        providers = {row["provider"] for row in found["keys"]}
        return found if set(MODELS) <= models and QUOTA in providers else NotYet(found)

    asking = asyncio.create_task(asks())
    try:
        found = await until(seen, what="rates and quotas", within_s=60)
    finally:
        asking.cancel()
    # Other tests may have used quotas too, and this one, of two requests, up; or more, until the vaults know of it.
    (quota,) = (row for row in found["keys"] if row["provider"] == QUOTA)
    assert (quota["key"], quota["quota"]) == ("SLUICE_STUB_KEY", "requests_per_month")
    assert float(quota["used"].removesuffix("%")) % 50 == 0
    assert found["requests_per_s"] > 0
    assert found["p95_ms"] >= found["p50_ms"] > 0
    assert {"policy", "rate-limit", "key-vault", "router", "relay", "metering"} <= set(found["lag"])
    process = await _sluice(home, "top", "--once")
    shown, _ = await process.communicate()
    assert process.returncode == 0
    for word in (b"requests", b"latency", b"spend", b"lag", b"SLUICE_STUB_KEY"):
        assert word in shown


async def test_tail_follows_records_of_an_owner_without_their_texts(gateway: Gateway, home: Path) -> None:
    following = await _sluice(home, "tail", "--owner", gateway.account_id, "--json")
    assert following.stdout
    assert following.stderr
    assert b"reading" in await following.stderr.readline()
    lines: list[str] = []
    wanted = {"RequestAccepted", "PolicyDecided", "QuotaReserved", "RoutePlanned", "UsageRecorded", "ChargePosted"}
    try:
        answer = await gateway.post(chat(f"{CANARY} {secrets.token_hex(4)}"))
        request_id = answer.headers["x-request-id"]
        async with asyncio.timeout(90):
            while wanted - {json.loads(line)["type"] for line in lines if request_id in line}:
                lines.append((await following.stdout.readline()).decode())
                assert lines[-1], "it ended"
    finally:
        following.kill()
        await following.wait()
    assert not any(CANARY in line for line in lines)


async def test_status_knows_every_process(gateway: Gateway, home: Path) -> None:
    found = await _json(home, "status")
    assert found["ready"] is True
    assert {name for name, service in found["services"].items() if service.get("ready")} >= set(
        await gateway.stack.health()
    )
