"""How a model is asked that was chosen for the client."""

from dataclasses import replace
from typing import Any

import pytest

from contracts.requests import Surface
from libs.chat.providers.exchange import exchange
from libs.chat.providers.protocol import Call
from libs.config.auto import AutoModel, Choice, choose
from libs.config.providers import Provider
from services.relay.core.auto import as_client_asked, in_manner
from tests.unit.records import accepted

CHAT, RESPONSES, MESSAGES = Surface.CHAT_COMPLETIONS, Surface.RESPONSES, Surface.MESSAGES


@pytest.mark.parametrize(
    ("surface", "body", "added"),
    [
        (CHAT, {}, {"reasoning_effort": "medium", "verbosity": "low"}),
        (CHAT, {"reasoning": {"max_tokens": 9}}, {"verbosity": "low"}),
        (CHAT, {"reasoning_effort": "high", "verbosity": "high"}, {}),
        (RESPONSES, {}, {"reasoning": {"effort": "medium"}, "text": {"verbosity": "low"}}),
        (
            RESPONSES,
            {"reasoning": {"summary": "auto"}, "text": {"verbosity": "high"}},
            {"reasoning": {"effort": "medium", "summary": "auto"}},
        ),
        (RESPONSES, {"reasoning": None}, {"reasoning": {"effort": "medium"}, "text": {"verbosity": "low"}}),
        (RESPONSES, {"reasoning": "nonsense"}, {"text": {"verbosity": "low"}}),
        (MESSAGES, {}, {"output_config": {"effort": "medium"}}),
        (MESSAGES, {"output_config": {"effort": "high"}}, {}),
        (MESSAGES, {"thinking": {"type": "enabled", "budget_tokens": 2_000}}, {}),
        (Surface.EMBEDDINGS, {}, {}),
    ],
)
def test_what_the_client_leaves_open_is_the_choice_s(
    surface: Surface, body: dict[str, Any], added: dict[str, Any]
) -> None:
    request = accepted(surface=surface, effort="medium", verbosity="low")
    assert in_manner(body, request) == body | added
    assert in_manner(body, accepted(surface=surface)) == body


def test_what_the_client_did_not_ask_for_is_not_named_as_left_out() -> None:
    asked: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}], "logit_bias": {"1": 1}}
    body = in_manner(asked, accepted(effort="medium", verbosity="medium"))
    call = Call(CHAT, body, "m/m", "m", streamed=False, cap_tokens=None, most_tokens=9, created_s=0)
    found = exchange(call, Provider(base_url="http://p", protocol="gemini"))
    assert set(found.outgoing.dropped) == {"logit_bias", "verbosity"}
    assert as_client_asked(found, asked).outgoing.dropped == ("logit_bias",)
    also = exchange(replace(call, body={**body, "verbosity": "high"}), Provider(base_url="http://p", protocol="gemini"))
    assert as_client_asked(also, {**asked, "verbosity": "high"}).outgoing.dropped == ("logit_bias", "verbosity")


def test_a_choice_may_be_a_name_alone() -> None:
    auto = AutoModel.model_validate({"default": "a/a", "surfaces": {"messages": {"model": "b/b", "effort": "low"}}})
    assert choose(auto, mode=None, surface="responses", affinity="", has_balance=True) == Choice(model="a/a")
    assert choose(auto, mode=None, surface="messages", affinity="", has_balance=True).effort == "low"
    assert list(auto.models) == ["a/a", "b/b"]
