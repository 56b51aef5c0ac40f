"""The pages of a service: alive, ready or what it waits for, and its version."""

import httpx
import pytest

from libs.runtime.health import STARTING, Health
from libs.version import VERSION


@pytest.fixture
def health() -> Health:
    return Health("router")


async def _get(health: Health, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(health.application())
    async with httpx.AsyncClient(transport=transport, base_url="http://router") as client:
        return await client.get(path)


async def test_who_is_not_ready_says_what_it_waits_for(health: Health) -> None:
    joined: list[str] = []
    health.check("group router", lambda: bool(joined))
    health.check("views", lambda: True)
    starting = await _get(health, "/readyz")
    assert (starting.status_code, starting.json()["waits_for"]) == (503, [STARTING, "group router"])
    health.serving()
    waiting = await _get(health, "/readyz")
    assert (waiting.status_code, waiting.json()["waits_for"]) == (503, ["group router"])
    assert waiting.json()["checks"] == {"group router": False, "views": True}
    joined.append("now")
    ready = await _get(health, "/readyz")
    assert (ready.status_code, ready.json()["ready"], ready.json()["waits_for"]) == (200, True, [])


async def test_alive_and_version_wait_for_nothing(health: Health, monkeypatch: pytest.MonkeyPatch) -> None:
    health.check("never", lambda: False)
    assert (await _get(health, "/livez")).status_code == 200
    monkeypatch.setenv("SLUICE_REVISION", "abc123")
    version = (await _get(health, "/version")).json()
    assert (version["service"], version["version"], version["revision"]) == ("router", VERSION, "abc123")
    with pytest.raises(ValueError, match="two conditions"):
        health.check("never", lambda: True)
