"""How much a model is to think: asked for in OpenRouter's shape, said in each protocol's own."""

from typing import Any

import orjson
import pytest

from contracts.requests import Surface
from libs.chat.providers.answers import Exchange
from libs.chat.providers.exchange import exchange
from libs.chat.providers.protocol import Call
from libs.chat.surfaces.writer import SurfaceError
from libs.config.providers import ProtocolName, Provider, Thinking

TURN = {"role": "user", "content": "hi"}
NOT_ASKED: Any = None


def _exchange(
    protocol: ProtocolName, body: dict[str, Any], *, upstream: str = "up", streamed: bool = False, **more: Any
) -> Exchange:
    asked = {"model": "a/b", "messages": [TURN], "max_tokens": 50_000, **body}
    call = Call(Surface.CHAT_COMPLETIONS, asked, "a/b", upstream, streamed, cap_tokens=None, most_tokens=9, created_s=1)
    return exchange(call, Provider(base_url="http://x", protocol=protocol, **more))


def _sent(protocol: ProtocolName, reasoning: Any, *, upstream: str = "up", **more: Any) -> Any:
    found = _exchange(protocol, {"reasoning": reasoning}, upstream=upstream, **more)
    assert found.outgoing.dropped == ()
    return orjson.loads(found.outgoing.content)


def _claude(reasoning: Any, thinking: Thinking) -> Any:
    sent = _sent("anthropic-messages", reasoning, thinking=thinking)
    return sent.get("thinking", {}).get("budget_tokens") or sent.get("output_config", {}).get("effort")


def _gemini(reasoning: Any, upstream: str) -> Any:
    config = _sent("gemini", reasoning, upstream=upstream).get("generationConfig", {}).get("thinkingConfig", {})
    return config.get("thinkingBudget", config.get("thinkingLevel"))


@pytest.mark.parametrize(
    ("reasoning", "effort", "budget", "gemini_2", "level"),
    [
        ({"effort": "high"}, "high", 16_384, 24_576, "high"),
        ({"effort": "low"}, "low", 2_048, 1_024, "low"),
        ({"max_tokens": 3_000}, "medium", 3_000, 3_000, "medium"),
        ({"max_tokens": 500}, "low", 1_024, 500, "low"),
        ({"max_tokens": 20_000}, "high", 20_000, 20_000, "high"),
        ({"effort": "low", "max_tokens": 20_000}, "low", 20_000, 20_000, "low"),
        ({"enabled": True}, "medium", 8_192, 8_192, "medium"),
        ({"enabled": True, "effort": "low"}, "low", 2_048, 1_024, "low"),
        ({"enabled": False}, "none", None, 0, 0),
        ({"enabled": False, "effort": "high"}, "none", None, 0, 0),
        ({"effort": "none"}, "none", None, 0, 0),
        ({"exclude": True}, NOT_ASKED, None, None, None),
        ({"effort": None, "max_tokens": None}, NOT_ASKED, None, None, None),
        ({}, NOT_ASKED, None, None, None),
        (None, NOT_ASKED, None, None, None),
    ],
)
def test_each_protocol_is_told_in_its_own_way(
    reasoning: Any, effort: str | None, budget: int | None, gemini_2: int | None, level: Any
) -> None:
    chat = _sent("openai-chat", reasoning)
    assert (chat.get("reasoning_effort"), "reasoning" in chat) == (effort, False)
    assert (_sent("openai-responses", reasoning).get("reasoning") or {}).get("effort") == effort
    assert _claude(reasoning, "budget") == budget
    assert _claude(reasoning, "adaptive") == (None if effort == "none" else effort)
    config = _sent("bedrock-converse", reasoning).get("additionalModelRequestFields", {})
    assert config.get("thinking", {}).get("budget_tokens") == budget
    assert _gemini(reasoning, "gemini-2.5-flash") == gemini_2
    assert _gemini(reasoning, "gemini-3-pro") == level


def test_the_field_of_openai_counts_before_that_of_openrouter() -> None:
    sent = _exchange("openai-chat", {"reasoning_effort": "low", "reasoning": {"effort": "high"}}).outgoing
    assert orjson.loads(sent.content)["reasoning_effort"] == "low"


@pytest.mark.parametrize(
    ("reasoning", "named"),
    [
        ("high", "reasoning"),
        ({"effort": 3}, "reasoning.effort"),
        ({"max_tokens": "many"}, "reasoning.max_tokens"),
        ({"max_tokens": 0}, "reasoning.max_tokens"),
        ({"max_tokens": True}, "reasoning.max_tokens"),
        ({"enabled": "yes"}, "reasoning.enabled"),
        ({"exclude": 1}, "reasoning.exclude"),
    ],
)
def test_another_shape_is_refused_by_name(reasoning: Any, named: str) -> None:
    with pytest.raises(SurfaceError, match=f"`{named}`"):
        _sent("openai-chat", reasoning)


def test_an_effort_that_is_no_text_is_refused_by_name() -> None:
    with pytest.raises(SurfaceError, match="`reasoning_effort`"):
        _exchange("anthropic-messages", {"reasoning_effort": {}})


@pytest.mark.parametrize(
    ("asked", "name"),
    [({"reasoning": {"max_tokens": 2_000}}, "reasoning"), ({"reasoning_effort": "low"}, "reasoning_effort")],
)
def test_what_is_left_out_has_the_client_s_name(asked: dict[str, Any], name: str) -> None:
    refusing: list[tuple[ProtocolName, dict[str, Any]]] = [
        ("openai-chat", {"unsupported": ["reasoning_effort"]}),
        ("openai-chat", {"fields": ["temperature"]}),
        ("anthropic-messages", {"unsupported": ["reasoning_effort"]}),
    ]
    for protocol, provider in refusing:
        sent = _exchange(protocol, asked, **provider).outgoing
        assert sent.dropped == (name,)
        assert b"thinking" not in sent.content
        assert b"reasoning" not in sent.content


def test_a_budget_of_anthropic_s_clients_stays_a_budget() -> None:
    thinking = {"type": "enabled", "budget_tokens": 5_000}
    body = {"model": "a/b", "max_tokens": 9_000, "messages": [TURN], "thinking": thinking}
    call = Call(Surface.MESSAGES, body, "a/b", "up", False, cap_tokens=None, most_tokens=9, created_s=1)
    sent = exchange(call, Provider(base_url="http://x", protocol="bedrock-converse")).outgoing
    assert orjson.loads(sent.content)["additionalModelRequestFields"]["thinking"] == thinking
    sent = exchange(call, Provider(base_url="http://x", unsupported=["reasoning_effort"])).outgoing
    assert sent.dropped == ("thinking",)


THOUGHT = {
    "reasoning_content": "hm",
    "reasoning": "hm",
    "reasoning_details": [{"type": "reasoning.text", "text": "hm", "index": 0}],
}


@pytest.mark.parametrize("exclude", [False, True])
def test_excluded_thoughts_do_not_come_back(exclude: bool) -> None:
    body = {"reasoning": {"effort": "low", "exclude": exclude}}
    answer = {"choices": [{"index": 0, "message": {"content": "so", **THOUGHT}, "finish_reason": "stop"}]}
    whole = orjson.loads(_exchange("openai-chat", body).whole(orjson.dumps(answer)).body(None))
    expected = {"content": "so"} if exclude else {"content": "so", **THOUGHT}
    assert whole["choices"][0]["message"] == expected
    stream = _exchange("openai-chat", body, streamed=True).stream
    deltas: list[dict[str, Any]] = [{"role": "assistant", **THOUGHT}, THOUGHT, {"content": "so"}]
    chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    text = "".join(stream.event(orjson.dumps(chunk).decode()) for chunk in chunks)
    assert ("hm" in text, text.count("data: "), '"so"' in text) == (not exclude, 2 if exclude else 3, True)


ENCRYPTED = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "eHg="}


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("store", [False, None])
def test_a_model_that_does_not_reason_is_sent_no_encrypted_thought(native: bool, store: bool | None) -> None:
    """OpenAI refuses it, and the wish for it, with 400 ("Encrypted content is not supported with this model")."""
    talk = [ENCRYPTED, {"role": "assistant", "content": "well"}, {"role": "user", "content": "so"}]
    wish = {"include": ["reasoning.encrypted_content", "code_interpreter_call.outputs"]} if native else {}
    body = {"model": "a/b", "input": talk, "store": store, **wish}
    if not native:
        detail = {"type": "reasoning.encrypted", "id": "rs_1", "data": "eHg="}
        said = {"role": "assistant", "content": "well", "reasoning_details": [detail]}
        body = {"model": "a/b", "messages": [TURN, said, TURN]}
    surface = Surface.RESPONSES if native else Surface.CHAT_COMPLETIONS
    call = Call(surface, body, "a/b", "up", False, cap_tokens=None, most_tokens=9, created_s=1)
    for unsupported in ([], ["reasoning"]):
        provider = Provider(base_url="http://x", protocol="openai-responses", unsupported=unsupported)
        sent = exchange(call, provider).outgoing.content
        assert (b"eHg=" in sent) is not bool(unsupported)
        assert (b"reasoning.encrypted_content" in sent) is not bool(unsupported)
        assert (b"code_interpreter_call.outputs" in sent) is native


@pytest.mark.parametrize("asked", [{"reasoning": {"effort": "low"}}, {"reasoning_effort": "low"}])
def test_who_asks_in_openrouter_s_shape_reads_thoughts_in_it(asked: dict[str, Any]) -> None:
    message = {"role": "assistant", "content": "so", "reasoning_content": "hm"}
    whole = _exchange("openai-chat", asked).whole(
        orjson.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
    )
    stream = _exchange("openai-chat", asked, streamed=True).stream
    event = stream.event(orjson.dumps({"choices": [{"index": 0, "delta": message, "finish_reason": None}]}).decode())
    said = orjson.loads(whole.body(None))["choices"][0]["message"]
    brought = orjson.loads(event.removeprefix("data: "))["choices"][0]["delta"]
    for one in (said, brought):
        assert one["reasoning_content"] == "hm"
        assert one.get("reasoning") == ("hm" if "reasoning" in asked else None)
