"""Clients that take answers for stored: what they refer to is what they were given, whoever answers."""

import base64
from typing import Any

import orjson
import pytest

from contracts.requests import Surface
from deploy.local.stub.validation import violation
from libs.chat.providers.answers import Exchange
from libs.chat.providers.exchange import exchange
from libs.chat.providers.protocol import Call
from libs.chat.surfaces import references
from libs.chat.surfaces.writer import SurfaceError
from libs.config.catalog import Catalog, Offer
from libs.config.gateway import DEFAULT_FILE, load_config
from libs.config.providers import ProtocolName, Provider
from tests.unit.events import named_events

CHAT = Provider(base_url="http://x")
NATIVE = Provider(base_url="http://x", native=["responses"])
QUESTION: Any = {"role": "user", "content": [{"type": "input_text", "text": "hi"}]}
USAGE = {"input_tokens": 1, "output_tokens": 1, "input_tokens_details": {}, "output_tokens_details": {}}
SAID = {"type": "output_text", "text": "so", "annotations": []}
THOUGHT: dict[str, Any] = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "c2VjcmV0"}
MESSAGE: dict[str, Any] = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "content": [SAID],
}
CALL: dict[str, Any] = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": '{"a":1}'}
OUTPUT = [THOUGHT, MESSAGE, CALL]


def _exchange(provider: Provider, *, streamed: bool = False, **body: Any) -> Exchange:
    asked = {"model": "a/b", "input": [QUESTION], **body}
    call = Call(Surface.RESPONSES, asked, "a/b", "up", streamed, cap_tokens=None, most_tokens=100, created_s=1)
    return exchange(call, provider)


def _sent(provider: Provider, **body: Any) -> Any:
    return orjson.loads(_exchange(provider, **body).outgoing.content)


def _completion(message: dict[str, Any]) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    return orjson.dumps({"id": "c1", "created": 5, "choices": [choice]})


def _references(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As the AI SDK sends an answer back."""
    return [{"type": "item_reference", "id": item["id"]} for item in items]


def _without_id(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != "id"}


def _native_answer(*, streamed: bool, **body: Any) -> list[dict[str, Any]]:
    found = _exchange(NATIVE, streamed=streamed, **body)
    response = {"id": "resp_1", "status": "completed", "model": "up", "output": OUTPUT, "usage": USAGE}
    if not streamed:
        output: list[dict[str, Any]] = orjson.loads(found.whole(orjson.dumps(response)).body(None))["output"]
        return output
    last = {"type": "response.completed", "sequence_number": 7, "response": response}
    assert found.stream.event(orjson.dumps(last).decode()) == ""
    events = named_events(found.stream.finish(None))
    assert [event["sequence_number"] for event in events] == list(range(7, 7 + len(events)))
    for event in events[:-1]:
        assert (event["output_index"], event["item"]) == (len(OUTPUT), events[-1]["response"]["output"][-1])
    streamed_output: list[dict[str, Any]] = events[-1]["response"]["output"]
    return streamed_output


def test_an_answer_that_was_translated_is_understood_when_it_is_referred_to() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    thought = {"type": "reasoning.text", "text": "hm", "signature": "c2ln"}
    said = {"content": "so", "reasoning_content": "hm", "reasoning_details": [thought], "tool_calls": [call]}
    answer = orjson.loads(_exchange(CHAT).whole(_completion(said)).body(None))
    kinds = [item["type"] for item in answer["output"]]
    assert kinds == ["reasoning", "message", "function_call", "reasoning"]
    result = {"type": "function_call_output", "call_id": "call_1", "output": "sunny"}
    sent = _sent(CHAT, input=[QUESTION, *_references(answer["output"]), result])
    assert sent["messages"][1:] == [
        {"role": "assistant", **said},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
    ]


def test_a_streamed_answer_is_understood_when_it_is_referred_to() -> None:
    stream = _exchange(CHAT, streamed=True).stream
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": "s"}, {"content": "o"}]
    chunks = [{"id": "c1", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    text = "".join(stream.event(orjson.dumps(chunk).decode()) for chunk in chunks) + stream.finish(None)
    events = named_events(text)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    output = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert output == events[-1]["response"]["output"]
    assert _sent(CHAT, input=[QUESTION, *_references(output)])["messages"][-1] == {"role": "assistant", "content": "so"}


@pytest.mark.parametrize("streamed", [False, True])
def test_a_provider_of_responses_is_sent_the_items_and_stores_nothing(streamed: bool) -> None:
    output = _native_answer(streamed=streamed)
    assert output[:-1] == OUTPUT
    sent = _sent(NATIVE, input=[QUESTION, *_references(output)], include=["file_search_call.results"])
    assert sent["input"] == [QUESTION, THOUGHT, _without_id(MESSAGE), _without_id(CALL)]
    assert (sent["store"], sent["include"]) == (
        False,
        ["file_search_call.results", "reasoning.encrypted_content"],
    )


def test_answers_whose_items_have_the_same_ids_are_not_mixed_up() -> None:
    """As of servers that count their items, each answer from the beginning."""
    answers: list[Any] = [{**MESSAGE, "content": [{**SAID, "text": text}]} for text in ("one", "two")]
    carried: list[Any] = [references.with_carrier({"output": [answer]})["output"] for answer in answers]
    given: list[Any] = [item for output in carried for item in [*_references(output), QUESTION]]
    found: list[Any] = references.resolved(given)
    texts = [item["content"][0]["text"] for item in found]
    assert texts == ["one", "hi", "two", "hi"]


def test_only_models_that_reason_are_asked_for_their_reasoning() -> None:
    plain = NATIVE.model_copy(update={"unsupported": ["reasoning"]})
    assert (_sent(NATIVE)["include"], _sent(plain)["store"]) == (["reasoning.encrypted_content"], False)
    assert "include" not in _sent(plain)


OPENAIS = [
    offer
    for offer in Catalog(load_config(DEFAULT_FILE)).offers.values()
    if offer.provider_id == "openai" and not offer.model.surfaces
]


@pytest.mark.parametrize("offer", OPENAIS, ids=lambda offer: str(offer.model.upstream_model))
def test_no_model_of_openai_is_asked_for_what_it_refuses(offer: Offer) -> None:
    sent = {**_sent(offer.provider), "model": offer.model.upstream_model}
    assert violation("/as/openai/responses", {}, sent) is None
    refused = violation("/as/openai/responses", {}, {"model": "gpt-4o", "include": ["reasoning.encrypted_content"]})
    assert refused is not None


@pytest.mark.parametrize(
    "body",
    [
        {"store": True},
        {"store": False},
        {"store": False, "include": ["reasoning.encrypted_content"]},
        {"previous_response_id": "resp_0"},
        {"conversation": "conv_0"},
    ],
)
def test_what_the_client_says_about_the_store_is_left_to_the_provider(body: dict[str, Any]) -> None:
    asked = {"input": [QUESTION, MESSAGE], **body}
    assert _sent(NATIVE, **asked) == {"model": "up", "stream": False, **asked}
    assert _native_answer(streamed=False, **body) == OUTPUT


def test_who_stores_at_the_provider_may_refer_to_what_is_there() -> None:
    given = [*_references(OUTPUT), QUESTION]
    assert _sent(NATIVE, input=given, store=True)["input"] == given


def test_clients_that_send_items_in_full_lose_nothing_and_the_carrier_goes_no_further() -> None:
    output = _native_answer(streamed=False)
    assert _sent(NATIVE, input=[QUESTION, *output])["input"] == [QUESTION, *OUTPUT]
    assert [message["role"] for message in _sent(CHAT, input=[QUESTION, *output])["messages"]] == [
        "user",
        "assistant",
        "tool",
    ]


@pytest.mark.parametrize("provider", [CHAT, NATIVE])
@pytest.mark.parametrize("store", [None, False])
def test_a_reference_to_what_nobody_carries_is_refused_with_what_to_do(provider: Provider, store: bool | None) -> None:
    with pytest.raises(SurfaceError, match=r"`input\[1\]` refers to the item 'msg_9'.*store: false"):
        _sent(provider, input=[QUESTION, {"type": "item_reference", "id": "msg_9"}], store=store)
    with pytest.raises(SurfaceError, match="msg_9"):
        _sent(provider, input=[{"id": "msg_9"}])


def _made_up(content: Any) -> str:
    return f"rs_sluice.{base64.urlsafe_b64encode(orjson.dumps(content)).decode()}"


@pytest.mark.parametrize(
    "name",
    ["rs_sluice.", "rs_sluice.%%", "rs_sluice.bm8=", _made_up({}), _made_up([1]), _made_up([{"id": "x"}])],
)
def test_a_carrier_that_a_client_made_up_holds_nothing(name: str) -> None:
    assert references.resolved([{"type": "item_reference", "id": name}, QUESTION]) == [QUESTION]
    with pytest.raises(SurfaceError):
        references.resolved([{"type": "item_reference", "id": name}, {"type": "item_reference", "id": "x"}])


def test_items_that_are_too_large_to_be_carried_are_left_out() -> None:
    image = {"type": "image_generation_call", "id": "ig_1", "result": "A" * references.MOST_CARRIED_BYTES}
    response: Any = {"status": "completed", "output": [image]}
    assert references.with_carrier(response) == response


@pytest.mark.parametrize(
    "protocol", ["openai-chat", "openai-responses", "anthropic-messages", "gemini", "bedrock-converse"]
)
def test_no_provider_sees_a_carrier(protocol: ProtocolName) -> None:
    output = _native_answer(streamed=False)
    sent = _exchange(Provider(base_url="http://x", protocol=protocol), input=[QUESTION, *_references(output)])
    assert b"sluice." not in sent.outgoing.content
    assert b"so" in sent.outgoing.content
