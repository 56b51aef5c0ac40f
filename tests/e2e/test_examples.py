"""Examples of the guides, run as they stand: asking again with other keys, sessions that stay, auto models."""

import os
import secrets
import sys
from asyncio.subprocess import PIPE, create_subprocess_exec

from deploy.local.home import ROOT
from tests.e2e.plane import Plane
from tests.stacks import Gateway, chat, until


async def _run(gateway: Gateway, name: str, **environment: str) -> list[str]:
    own = {"SLUICE_BASE_URL": gateway.base_url, "SLUICE_API_KEY": gateway.key}
    process = await create_subprocess_exec(
        sys.executable, str(ROOT / f"docs/examples/{name}.py"), env=os.environ | own | environment, stdout=PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode().splitlines()


async def test_what_fails_for_a_moment_is_asked_again(gateway: Gateway) -> None:
    prompt = f"[[stub flaky={secrets.token_hex(6)}]] hi"
    assert await _run(gateway, "retries", PROMPT=prompt) == ["answered by stub", "failed before stub=503"]


async def test_an_auto_model_suits_the_mode(gateway: Gateway) -> None:
    assert await _run(gateway, "auto_model") == ["plan stub/large", "code stub/echo"]


async def test_a_key_that_is_refused_makes_way_for_the_next(gateway: Gateway) -> None:
    """`several` has two keys, of which the first is wrong; it rests once it was refused."""
    answered, failed = await _run(gateway, "retries", MODEL="several/echo")
    assert answered == "answered by several"
    assert failed in ("failed before several=502", "failed before nobody")


async def test_a_session_stays_with_its_provider_and_hits_its_cache(gateway: Gateway) -> None:
    plane = Plane(gateway, 1)
    person = await plane.person()
    lines = await _run(gateway, "session", MODEL="two/echo", PROMPT="[[stub cache=300]] ", SLUICE_API_KEY=person.key)
    assert len(lines) == 3 and len({line.partition(" ")[0] for line in lines}) == 1
    assert {line.partition(" ")[2] for line in lines} == {"cached 300"}
    provider = lines[0].partition(" ")[0]

    async def used() -> dict[str, object] | None:
        path = f"/api/accounts/{person.account_id}/usage?by=provider"
        rows = await plane.call("GET", path, key=person.key)
        return next((row for row in rows if row["provider"] == provider and row["requests"] == 3), None)

    row = await until(used, what="the usage by provider")
    assert float(str(row["cache_hit_percent"])) > 90


async def test_a_session_goes_on_where_its_order_was_another(gateway: Gateway) -> None:
    """The client's own order counts for its first request alone; those after it stay where that went."""
    session = f"s-{secrets.token_hex(6)}"
    wish = {"provider": {"order": ["responses"]}}
    first = await gateway.post(chat("hi", model="two/echo", session_id=session, **wish))
    assert first.headers["x-sluice-provider"] == "responses"
    again = await gateway.post(chat("hi again", model="two/echo", session_id=session))
    assert again.headers["x-sluice-provider"] == "responses"
    assert (await gateway.post(chat("hi", model="two/echo"))).headers["x-sluice-provider"] == "stub"
