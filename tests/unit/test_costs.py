"""A client that asks sees the cost that the ledger will have, on every surface, streamed and not."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.quantities import Quantity, Unit
from contracts.replies import Outcome
from contracts.requests import Caller, Surface
from contracts.usage import TokenUsage, UsageRecorded
from libs.chat.providers.exchange import exchange
from libs.chat.providers.protocol import Call
from libs.chat.surfaces.costs import Costs, are_wanted, with_costs
from libs.config.providers import ProtocolName, Provider
from libs.pricing.charging import cost_of
from services.ingress.core.generations import generation, may_see, request, request_id_of
from services.relay.core.costing import costs
from tests.unit.records import NOW_MS, PRICE, request_id
from tests.unit.streams import BODIES, events_of

COSTS: Costs = {"cost": 0.5}


def _usage(tokens: TokenUsage, **changes: Any) -> UsageRecorded:
    return UsageRecorded(
        request_id=request_id(1),
        subject="acct:a",
        caller=Caller(account_id="a"),
        surface=Surface.CHAT_COMPLETIONS,
        model="stub/echo",
        outcome=Outcome.COMPLETED,
        status=200,
        tokens=tokens,
        catalog_version=1,
        accepted_at_ms=NOW_MS,
        ended_at_ms=NOW_MS,
    ).model_copy(update=changes)


_COUNTS = st.integers(0, 10**7)


@given(_COUNTS, _COUNTS, st.booleans(), st.booleans(), st.integers(0, 3))
def test_what_is_shown_is_what_is_charged(given_: int, made: int, byok: bool, free: bool, images: int) -> None:
    tokens = TokenUsage(input_tokens=given_, output_tokens=made)
    quantities = [Quantity(unit=Unit.IMAGE, amount=images)] if images else []
    shown = costs(tokens, quantities, PRICE, byok=byok, free=free)
    charged = cost_of(
        _usage(tokens, byok=byok, model="a/b:free" if free else "a/b", quantities=quantities), PRICE
    ).microdollars
    assert round(shown["cost"] * 1_000_000) == charged
    details = shown["cost_details"]
    if not free:
        whole = charged if not byok else round((details["upstream_inference_cost"] or 0) * 1_000_000)
        parts = details["upstream_inference_prompt_cost"] + details["upstream_inference_completions_cost"]
        assert round(parts * 1_000_000) == whole


@pytest.mark.parametrize(
    ("text", "holder"),
    [
        ('{"id":"x","usage":{"prompt_tokens":1}}', ()),
        ('data: {"choices":[],"usage":{"prompt_tokens":1}}\n\ndata: [DONE]\n\n', ()),
        ('event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":1}}\n\n', ()),
        (
            'event: response.completed\ndata: {"type":"r","response":{"usage":{"input_tokens":1}}}\n\n',
            ("response",),
        ),
    ],
)
def test_the_usage_of_each_surface_has_it(text: str, holder: tuple[str, ...]) -> None:
    priced = with_costs(text, COSTS)
    answer = orjson.loads(priced) if text.startswith("{") else events_of(priced)[0]
    for name in holder:
        answer = answer[name]
    assert answer["usage"].items() >= COSTS.items()
    assert priced.count("[DONE]") == text.count("[DONE]")
    assert priced.count("\n") == text.count("\n")


@pytest.mark.parametrize("text", ['{"id":"x"}', '{"usage":null}', "data: [DONE]\n\n", '{"usage":[1]}', "[1]"])
def test_what_has_no_usage_stays(text: str) -> None:
    assert with_costs(text, COSTS) == text


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ({}, False),
        ({"usage": True}, False),
        ({"usage": {"include": False}}, False),
        ({"usage": {"include": True}}, True),
    ],
)
def test_who_asks(body: dict[str, Any], wanted: bool) -> None:
    assert are_wanted(body) is wanted


@pytest.mark.parametrize("protocol", ["openai-chat", "anthropic-messages"])
def test_an_answer_has_the_id_that_is_asked_for_later(protocol: ProtocolName) -> None:
    call = Call(
        Surface.CHAT_COMPLETIONS,
        {"model": "a/b", **BODIES[Surface.CHAT_COMPLETIONS]},
        "a/b",
        "up",
        False,
        cap_tokens=None,
        most_tokens=9,
        created_s=1,
        answer_id="gen-1",
    )
    found = exchange(call, Provider(base_url="http://x", protocol=protocol))
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "input_tokens": 1, "output_tokens": 1}
    answer = {"id": "theirs", "choices": [], "content": [], "usage": usage}
    assert orjson.loads(found.whole(orjson.dumps(answer)).body(None))["id"] == "gen-1"
    if protocol == "openai-chat":
        chunk = {"id": "theirs", "choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}]}
        text = found.stream.event(orjson.dumps({**chunk, "usage": usage}).decode()) + found.stream.finish(None)
        assert {event["id"] for event in events_of(text)} == {"gen-1"}


def test_ids_of_requests() -> None:
    assert str(request_id_of(request_id(7))) == request_id(7)
    assert str(request_id_of(f"gen-{request_id(7)}")) == request_id(7)
    for text in ("", "gen-", "chatcmpl-1", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"):
        assert request_id_of(text) is None


@pytest.mark.parametrize(
    ("caller", "seen"),
    [
        (Caller(account_id="a", organization_id="o", role="member"), True),
        (Caller(account_id="b", organization_id="o", role="member"), False),
        (Caller(account_id="b", organization_id="o", role="owner"), True),
        (Caller(account_id="b", organization_id="o", role="billing_manager"), True),
        (Caller(account_id="b", organization_id="p", role="owner"), False),
        (Caller(account_id="a"), False),
    ],
)
def test_who_may_see_a_request(caller: Caller, seen: bool) -> None:
    assert may_see(caller, _usage(TokenUsage(), caller=Caller(account_id="a", organization_id="o"))) is seen


def test_a_generation_has_openrouter_s_fields_and_the_same_cost() -> None:
    usage = _usage(TokenUsage(input_tokens=1_000_000, output_tokens=1), streamed=True, first_byte_ms=12)
    shown = generation(usage, cost_of(usage, PRICE))["data"]
    assert (shown["total_cost"], shown["streamed"], shown["latency"]) == (2.000008, True, 12)
    assert shown["id"] == f"gen-{usage.request_id}"
    assert request(usage, cost_of(usage, PRICE))["cost_microdollars"] == 2_000_008
