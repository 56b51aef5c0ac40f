"""What providers are told of users, whatever surface their clients speak."""

from typing import Any

import orjson
import pytest

from contracts.requests import Caller, Surface
from libs.chat.providers.exchange import exchange
from libs.chat.providers.identifiers import identifiers, with_hashed_users
from libs.chat.providers.protocol import Call
from libs.config.providers import Provider

ALICE = Caller(account_id="alice")
OPENAI = Provider(base_url="http://x", native=["responses"])
BODIES: dict[Surface, dict[str, Any]] = {
    Surface.CHAT_COMPLETIONS: {"messages": [{"role": "user", "content": "hi"}]},
    Surface.RESPONSES: {"input": "hi"},
    Surface.MESSAGES: {"max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]},
    Surface.EMBEDDINGS: {"input": "hi"},
    Surface.FIM: {"prompt": "hi"},
}


def _sent(surface: Surface, caller: Caller = ALICE, provider_id: str = "openai", **more: Any) -> Any:
    body = with_hashed_users({**BODIES[surface], **more}, surface, provider_id, caller)
    told = identifiers(
        provider_id, caller, task_id="t", cache_key_field="prompt_cache_key", user_field="safety_identifier"
    )
    call = Call(
        surface, body, "m", "up", False, cap_tokens=None, most_tokens=9, created_s=1, cache=True, identifiers=told
    )
    outgoing = exchange(call, OPENAI).outgoing
    assert outgoing.dropped == ()
    return orjson.loads(outgoing.content)


@pytest.mark.parametrize("surface", [Surface.CHAT_COMPLETIONS, Surface.RESPONSES, Surface.MESSAGES])
def test_account_and_task_are_told_on_every_surface_by_hashes_of_each_provider(surface: Surface) -> None:
    sent = _sent(surface)
    names = ("safety_identifier", "prompt_cache_key")
    assert all(len(sent[name]) == 32 for name in names)
    assert [_sent(surface)[name] for name in names] == [sent[name] for name in names]
    for other in (_sent(surface, provider_id="xai"), _sent(surface, Caller(account_id="bob"))):
        assert all(other[name] != sent[name] for name in names)


@pytest.mark.parametrize("surface", [Surface.EMBEDDINGS, Surface.FIM])
def test_surfaces_without_such_fields_get_none(surface: Surface) -> None:
    assert not {"safety_identifier", "prompt_cache_key"} & set(_sent(surface))


@pytest.mark.parametrize(
    ("surface", "named"),
    [
        (Surface.CHAT_COMPLETIONS, {"user": "carol"}),
        (Surface.RESPONSES, {"safety_identifier": "carol"}),
        (Surface.MESSAGES, {"metadata": {"user_id": "carol"}}),
        (Surface.EMBEDDINGS, {"user": "carol"}),
    ],
)
def test_a_user_that_the_client_names_is_hashed_and_stands_for_the_account(
    surface: Surface, named: dict[str, Any]
) -> None:
    sent = _sent(surface, **named)
    assert b"carol" not in orjson.dumps(sent)
    found = [sent[name] for name in ("user", "safety_identifier") if name in sent]
    assert len(found) == 1
    assert len(found[0]) == 32


def test_a_client_s_own_cache_key_stays() -> None:
    assert _sent(Surface.CHAT_COMPLETIONS, prompt_cache_key="mine")["prompt_cache_key"] == "mine"
