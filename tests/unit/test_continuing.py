"""Streams that were cut go on: of any surface, at any event, and what their client gets is one stream."""

import re
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.prices import PriceRule
from contracts.prompts import PromptSubmitted
from contracts.record import Refusal
from contracts.replies import EVENTS, Outcome, ReplyChunk, ReplyEnded, ReplyStarted
from contracts.requests import Surface
from contracts.usage import TokenUsage, added
from deploy.local.stub.answers import answer_to
from deploy.local.stub.chat import Chat
from deploy.local.stub.messages import Messages
from deploy.local.stub.protocol import StubProtocol
from libs.chat.continuing.cut import Cut, NotPlainError
from libs.chat.continuing.exchange import CUTS, going_on, take
from libs.chat.event_ids import numbered
from libs.chat.providers.answers import Exchange
from libs.chat.providers.exchange import exchange
from libs.chat.providers.protocol import Call, ProtocolError
from libs.config.catalog import Catalog
from libs.config.providers import Continues, Model, Provider
from services.relay.core.continuing import MOST_CALLS, continuation, cut_of, may_go_on
from services.relay.core.delivered import Delivered
from services.relay.core.job import Job
from tests.unit.records import PRICE, Config, request_id, route

ASK = "Write. [[stub chunks=5]]"
BODIES: dict[Surface, dict[str, Any]] = {
    Surface.CHAT_COMPLETIONS: {
        "messages": [{"role": "user", "content": ASK}],
        "stream": True,
        "stream_options": {"include_usage": True},
    },
    Surface.MESSAGES: {"messages": [{"role": "user", "content": ASK}], "max_tokens": 99, "stream": True},
    Surface.RESPONSES: {"input": ASK, "stream": True, "store": False},
}
CHAT, CLAUDE = Provider(base_url="http://x"), Provider(base_url="http://x", protocol="anthropic-messages")
PAIRS = [(surface, provider) for surface in BODIES for provider in (CHAT, CLAUDE)]
PRICES = [PriceRule(price=PRICE)]
OF_CALL = ("id", "item_id", "created", "created_at", "usage", "role")
TOTAL = TokenUsage(input_tokens=70, output_tokens=30)


def _exchange(surface: Surface, provider: Provider, body: dict[str, Any]) -> Exchange:
    call = Call(surface, body, "m", "up", streamed=True, cap_tokens=None, most_tokens=500, created_s=1)
    return exchange(call, provider)


def _streamed(found: Exchange, provider: Provider, counted: TokenUsage | None = None) -> list[str]:
    """The events that a client gets."""
    protocol: StubProtocol = Messages() if provider is CLAUDE else Chat()
    answer = answer_to(protocol.parse(found.outgoing.path, orjson.loads(found.outgoing.content)), "x")
    framing, events = found.framing(), ""
    pieces = [*protocol.opening(answer), *(protocol.word(answer, number) for number in range(len(answer.words)))]
    for piece in [*pieces, *protocol.closing(answer)]:
        for data in framing.feed(piece):
            events += found.stream.event(data)
    events += found.stream.finish(counted)
    return [f"{event}\n\n" for event in events.split("\n\n") if event]


def _cut(surface: Surface, events: str) -> Cut:
    cut = CUTS[surface]()
    take(cut, events)
    return cut


def _data(event: str) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(event.rpartition("data: ")[2])
    return found


@pytest.mark.parametrize(("surface", "provider"), PAIRS)
def test_a_stream_that_was_cut_at_any_event_goes_on_as_the_same_one(surface: Surface, provider: Provider) -> None:
    body = BODIES[surface]
    whole = _streamed(_exchange(surface, provider, body), provider)
    words = [number for number, event in enumerate(whole) if re.search(r'"(content|text|delta)":"[^"]', event)]
    for at in range(1, words[4] + 2):
        cut = _cut(surface, "".join(whole[:at]))
        second = _exchange(surface, provider, cut.asked(body) if cut.text else body)
        rest = _streamed(going_on(second, cut, "prefill"), provider, TOTAL)
        joined = whole[:at] + rest
        assert _alike(joined) == _alike(whole)
        ids = set(re.findall(r'"(?:id|item_id)":"((?:chatcmpl|resp|msg)[^"]*)"', "".join(joined)))
        assert len(ids) == len(set(re.findall(r'"(?:id|item_id)":"((?:chatcmpl|resp|msg)[^"]*)"', "".join(whole))))
        assert '"output_tokens":30' in joined[-2] + joined[-1] or '"completion_tokens":30' in joined[-2]


def _alike(events: list[str]) -> list[Any]:
    """Without what differs between two calls: IDs, counts, and pings."""
    return [one if "[DONE]" in one else _without(_data(one)) for one in events if '"ping"' not in one]


def _without(value: Any) -> Any:
    if isinstance(value, list):
        return [_without(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {name: _without(one) for name, one in value.items() if name not in OF_CALL}


@pytest.mark.parametrize(
    "event",
    [
        {"choices": [{"index": 1, "delta": {"content": "x"}}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0}]}}]},
        {"choices": [{"index": 0, "delta": {"reasoning_content": "hm"}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [{"index": 0, "delta": {"content": "x"}, "logprobs": {"content": [1]}}]},
        {"choices": None},
        {},
    ],
)
def test_only_plain_text_goes_on(event: dict[str, Any]) -> None:
    with pytest.raises(NotPlainError):
        _cut(Surface.CHAT_COMPLETIONS, f"data: {orjson.dumps(event).decode()}\n\n")


@pytest.mark.parametrize("kind", ["thinking", "tool_use"])
def test_a_message_goes_on_with_text_or_not_at_all(kind: str) -> None:
    begun = '{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"A"}}'
    cut = _cut(Surface.MESSAGES, f"event: x\ndata: {begun}\n\n")
    found = going_on(_exchange(Surface.MESSAGES, CLAUDE, BODIES[Surface.MESSAGES]), cut, "prefill")
    with pytest.raises(ProtocolError):
        found.stream.event(begun.replace('"text","text"', f'"{kind}","text"'))


@pytest.mark.parametrize(
    ("continues", "message", "request_"),
    [
        ("prefill", {}, {}),
        ("prefix", {"prefix": True}, {}),
        ("partial", {"partial": True}, {}),
        ("continue_final_message", {}, {"add_generation_prompt": False, "continue_final_message": True}),
    ],
)
def test_each_provider_is_told_in_its_own_way(
    continues: Continues, message: dict[str, Any], request_: dict[str, Any]
) -> None:
    surface = Surface.CHAT_COMPLETIONS
    cut = _cut(surface, 'data: {"id":"a","choices":[{"index":0,"delta":{"content":"Hel"}}]}\n\n')
    found = going_on(_exchange(surface, CHAT, cut.asked(BODIES[surface])), cut, continues)
    sent = orjson.loads(found.outgoing.content)
    assert sent["messages"][-1] == {"role": "assistant", "content": "Hel"} | message
    assert request_.items() <= sent.items()


def _job(body: dict[str, Any] | None = None, *, continues: Continues | None = "prefill", **changes: Any) -> Job:
    model = Model(id="stub/echo", provider="stub", upstream_model="echo", continues=continues)
    catalog = Catalog(Config(providers={"stub": CHAT}, models=[model]), {"stub/echo": {"stub": PRICES}})
    fields = {"stream": True, "output_tokens_most": 100, "input_tokens_most": 90, "prompt_bytes": 80} | changes
    planned = route().model_copy(update=fields)
    content = orjson.dumps(body or BODIES[Surface.CHAT_COMPLETIONS])
    return Job(planned, PromptSubmitted(request_id=request_id(1), content=content), catalog, None, "")


def _delivered(job: Job, text: str = "Hello", *, calls: int = 1, **changes: Any) -> Delivered:
    route, found = job.route, Delivered(cut=cut_of(job))
    address = {"request_id": route.request_id, "reply_to": route.reply_to}
    started = ReplyStarted(**address, provider_id="stub", **changes)
    found.take(started)
    for piece in text:
        event = f'data: {{"id":"chatcmpl-1","created":1,"choices":[{{"index":0,"delta":{{"content":"{piece}"}}}}]}}\n\n'
        found.take(ReplyChunk(**address, at=found.size, content=numbered(event, found.size)))
    for call in range(1, calls):
        found.take(started.model_copy(update={"call": call, "relay_id": f"relay-{call}"}))
    return found


def _going_on(job: Job, delivered: Delivered) -> Job | None:
    """The next call's job, as far as the stream has been read."""
    return continuation(job, delivered, delivered.call + 1)


def test_what_goes_on_is_the_same_request_with_the_text_behind_it() -> None:
    job = _job()
    assert may_go_on(job)
    found = _going_on(job, _delivered(job))
    assert found is not None
    assert found.goes_on is not None
    assert found.prompt.body["messages"][-1] == {"role": "assistant", "content": "Hello"}
    assert (found.goes_on.call, found.goes_on.cut.text) == (1, "Hello")
    assert found.goes_on.before == TokenUsage(input_tokens=20, output_tokens=2)
    assert found.route.output_tokens_most == found.route.cap_tokens == 98


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"n": 2},
        {"response_format": {"type": "json_object"}},
        {"reasoning_effort": "low"},
        {"stop": ["x"]},
        {"logprobs": True},
    ],
)
def test_what_is_more_than_text_does_not_go_on(more: dict[str, Any]) -> None:
    assert not may_go_on(_job(BODIES[Surface.CHAT_COMPLETIONS] | more))


def test_nothing_goes_on_without_being_asked() -> None:
    job = _job(continues=None)
    assert not may_go_on(job)
    assert _going_on(job, _delivered(job)) is None
    assert not may_go_on(_job(BODIES[Surface.CHAT_COMPLETIONS], effort="high"))


@pytest.mark.parametrize("text", ["Hello ", "Hello\\n"])
def test_a_text_that_ends_in_white_space_does_not_go_on(text: str) -> None:
    job = _job()
    assert _going_on(job, _delivered(job, text="Hello"))
    found = _delivered(job, text="Hello")
    event = f'data: {{"id":"chatcmpl-1","choices":[{{"index":0,"delta":{{"content":"{text[5:]}"}}}}]}}\n\n'
    chunk = ReplyChunk(
        request_id=job.route.request_id,
        reply_to=job.route.reply_to,
        at=found.size,
        content=numbered(event, found.size),
    )
    found.take(chunk)
    assert _going_on(job, found) is None


def test_a_conversation_that_the_client_ended_with_the_assistant_does_not_go_on() -> None:
    turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "Well"}]
    job = _job({"messages": turns, "stream": True})
    assert _going_on(job, _delivered(job)) is None


def test_it_goes_on_so_often_and_no_more() -> None:
    job = _job()
    assert _going_on(job, _delivered(job, calls=MOST_CALLS - 1))
    assert _going_on(job, _delivered(job, calls=MOST_CALLS)) is None
    ended = _delivered(job)
    ended.take(
        ReplyEnded(
            request_id=job.route.request_id,
            reply_to=job.route.reply_to,
            outcome=Outcome.FAILED,
            status=500,
            refusal=Refusal(status=500, message=""),
        )
    )
    assert _going_on(job, ended) is None


@given(reserved=st.integers(0, 3_000), limit=st.none() | st.integers(1, 200), calls=st.integers(1, 3))
def test_all_calls_together_never_cost_more_than_was_held(reserved: int, limit: int | None, calls: int) -> None:
    body = BODIES[Surface.CHAT_COMPLETIONS] | ({"max_tokens": limit} if limit else {})
    job = _job(body, reserved_microdollars=reserved)
    found = _going_on(job, _delivered(job, calls=calls))
    if found is None or found.goes_on is None:
        return
    written = found.prompt.body.get("max_tokens") or found.route.cap_tokens or 0
    assert 1 <= written <= 98
    most = added(
        found.goes_on.before,
        TokenUsage(input_tokens=found.route.input_tokens_most, output_tokens=written),
    )
    assert 2 * most.input_tokens + 8 * most.output_tokens <= reserved


def test_what_a_relay_adds_that_was_taken_for_dead_does_not_count() -> None:
    job = _job()
    found = _delivered(job, calls=2)
    before = found.size
    address = {"request_id": job.route.request_id, "reply_to": job.route.reply_to}
    found.take(ReplyChunk(**address, at=before, content=b"data: {}\n\n"))
    assert found.size == before
    found.take(ReplyChunk(**address, at=before, content=b"data: {}\n\n", call=1))
    assert found.size > before
    assert found.started is not None
    assert found.started.content_type == EVENTS
