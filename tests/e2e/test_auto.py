"""``kilo-auto/*`` and the identifiers that providers get."""

from typing import Any

import pytest

from libs.config.auto import AutoModel, choose
from libs.config.gateway import load_config
from tests.stacks import Gateway, chat
from tests.unit.records import Config


async def _model(gateway: Gateway, asked: str, **headers: str) -> str:
    response = await gateway.post(chat("hi", model=asked), **headers)
    assert response.status_code == 200, response.text
    answered: str = response.json()["model"]
    entry = await gateway.entry(response.headers["x-request-id"])
    assert entry["model"] == answered
    return answered


@pytest.mark.parametrize(
    ("mode", "model"), [("plan", "stub/large"), ("PLAN", "stub/large"), ("code", "stub/echo"), (None, "stub/echo")]
)
async def test_the_mode_chooses_the_model(gateway: Gateway, mode: str | None, model: str) -> None:
    headers = {"x-kilocode-mode": mode} if mode else {}
    assert await _model(gateway, "kilo-auto/frontier", **headers) == model


def test_tasks_are_spread_over_the_free_models() -> None:
    auto = AutoModel(default="a/a", one_of=["a/a", "b/b"])
    chosen = [
        choose(auto, mode=None, surface="responses", affinity=f"acct:a/{n}", has_balance=True) for n in range(100)
    ]
    assert 30 < [one.model for one in chosen].count("a/a") < 70


async def test_a_provider_gets_a_cache_key_of_account_and_task_and_no_name_of_ours(gateway: Gateway) -> None:
    async def sent(task: str, **more: Any) -> dict[str, Any]:
        response = await gateway.post(chat("hi", **more), **{"X-KiloCode-TaskId": task})
        assert response.status_code == 200
        body: dict[str, Any] = (await gateway.http.get(f"{gateway.stack.stub_url}/stub/last")).json()
        return body

    one, again, other = await sent("task-1"), await sent("task-1"), await sent("task-2")
    assert len(one["prompt_cache_key"]) == 32
    assert one["prompt_cache_key"] == again["prompt_cache_key"] != other["prompt_cache_key"]
    assert one["safety_identifier"] == other["safety_identifier"]
    assert gateway.account_id not in str(one)
    named = await sent("task-1", user="alice@example.com", prompt_cache_key="mine")
    assert named["prompt_cache_key"] == "mine"
    assert named["user"] != "alice@example.com"
    assert "safety_identifier" not in named


def test_the_default_file_s_frontier_is_as_documented() -> None:
    autos = load_config(None).auto
    assert set(autos) == {"kilo-auto/frontier", "kilo-auto/efficient", "kilo-auto/small", "kilo-auto/free"}

    def frontier(mode: str | None) -> str:
        auto = autos["kilo-auto/frontier"]
        choice = choose(auto, mode=mode, surface="chat.completions", affinity="", has_balance=True)
        assert (choice.effort, choice.verbosity) == ("medium", "medium")
        return choice.model

    deep: tuple[str, ...] = ("plan", "general", "architect", "orchestrator", "ask", "debug")
    for mode in deep:
        assert frontier(mode) == "anthropic/claude-opus-4.7"
    for other in ("build", "explore", "code", "unknown", None):
        assert frontier(other) == "anthropic/claude-sonnet-4.6"


def test_a_name_must_stand_for_models_that_exist() -> None:
    with pytest.raises(ValueError, match="there is no model no/such"):
        Config(auto={"kilo-auto/x": AutoModel(default="no/such")})
