"""Streams that are framed oddly, end anywhere or make no sense: the client keeps what came, and never gets a 500."""

import json
import secrets
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.requests import Surface
from contracts.usage import TokenUsage
from deploy.local.stub.answers import StubRequest, answer_to
from libs.chat.providers.protocol import ProtocolError, ProviderFailure
from libs.chat.surfaces.registry import DIALECTS
from libs.config.providers import ProtocolName
from tests.unit.streams import BODIES, STUBS, events_of, exchange_of
from tests.unit.test_streams import FRAMES, SSE, recorded

COUNTED = TokenUsage(input_tokens=3, output_tokens=2)
ABSURD: list[Any] = [None, True, 5, -1, "x", [], {}, [5], ["x"], [None], {"x": 5}, [[]], [{}]]
ENDS: dict[Surface, tuple[str, ...]] = {
    Surface.CHAT_COMPLETIONS: ('"finish_reason":"tool_calls"', '"usage"', "data: [DONE]"),
    Surface.RESPONSES: ('"status":"completed"', '"input_tokens"', "event: response.completed"),
    Surface.MESSAGES: ('"stop_reason":"tool_use"', '"output_tokens"', "event: message_stop"),
}


@pytest.fixture(autouse=True)
def same_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """IDs that are made anew for each answer are the same here, so that answers can be compared."""
    monkeypatch.setattr(secrets, "token_hex", lambda size: "0" * 2 * size)


def _whole(surface: Surface, protocol: ProtocolName, data: bytes) -> tuple[str, str]:
    found = exchange_of(surface, protocol)
    sent = "".join(found.stream.event(event) for event in found.framing().feed(data))
    return sent, found.stream.finish(COUNTED)


@pytest.mark.parametrize("protocol", SSE)
@pytest.mark.parametrize("form", FRAMES)
def test_a_framed_stream_is_the_same_byte_by_byte(form: str, protocol: ProtocolName) -> None:
    data = FRAMES[form](recorded(protocol))
    for surface in BODIES:
        found = exchange_of(surface, protocol)
        framing = found.framing()
        sent = [found.stream.event(event) for at in range(len(data)) for event in framing.feed(data[at : at + 1])]
        assert ("".join(sent), found.stream.finish(COUNTED)) == _whole(surface, protocol, recorded(protocol))


@pytest.mark.parametrize("surface", BODIES)
@pytest.mark.parametrize("protocol", STUBS)
def test_of_a_stream_cut_at_any_byte_the_client_has_what_came(protocol: ProtocolName, surface: Surface) -> None:
    """After each byte: what was sent begins the whole answer; then comes the end, or an error of the surface's form."""
    data = recorded(protocol)
    expected = "".join(_whole(surface, protocol, data))
    found = exchange_of(surface, protocol)
    framing, sent, finished_at = found.framing(), "", 0
    for at in range(len(data)):
        for event in framing.feed(data[at : at + 1]):
            last = found.stream.event(event)
            sent += last
            assert expected.startswith(sent)
            if found.stream.finished:
                finished_at = finished_at or at
            else:
                (error,) = events_of(DIALECTS[surface].error_event("It broke off.", 502, last))
                assert error["error"]["message"] == "It broke off."
    assert finished_at
    # The model had come to its end when the connection broke: usage and reason are there, the provider's or our own.
    for at in range(finished_at + 1, len(data)):
        if at == finished_at + 1 or data[at - 1 : at] == b"\n":
            text = "".join(_whole(surface, protocol, data[:at]))
            assert all(part in text for part in ENDS[surface])


@pytest.mark.parametrize("surface", [Surface.MESSAGES, Surface.RESPONSES])
@pytest.mark.parametrize("name", ["a\udc00\ud800", "a\n\ndata: forged", "é", 5, ["x"]])
def test_the_name_of_an_event_is_one_line_that_can_be_written(surface: Surface, name: Any) -> None:
    protocol: ProtocolName = "anthropic-messages" if surface is Surface.MESSAGES else "openai-responses"
    with pytest.raises(ProtocolError):
        exchange_of(surface, protocol).stream.event(json.dumps({"type": name}))


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    for name, inner in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from _places(inner, (*path, name))


def _changed(value: Any, path: tuple[Any, ...], absurd: Any) -> Any:
    if not path:
        return absurd
    copy = value.copy()
    copy[path[0]] = _changed(value[path[0]], path[1:], absurd)
    return copy


def _events(protocol: ProtocolName) -> list[Any]:
    events = exchange_of(Surface.CHAT_COMPLETIONS, protocol).framing().feed(recorded(protocol))
    return [orjson.loads(event) for event in events if event != "[DONE]"]


@pytest.mark.parametrize("surface", BODIES)
@pytest.mark.parametrize("protocol", STUBS)
@given(data=st.data())
def test_an_absurd_event_is_the_provider_s_failure(
    protocol: ProtocolName, surface: Surface, data: st.DataObject
) -> None:
    events = _events(protocol)
    number = data.draw(st.integers(0, len(events) - 1))
    path = data.draw(st.sampled_from(list(_places(events[number]))))
    events[number] = _changed(events[number], path, data.draw(st.sampled_from(ABSURD)))
    stream = exchange_of(surface, protocol).stream
    try:
        for event in events:
            stream.event(orjson.dumps(event).decode())
        assert stream.usage is None or stream.usage.input_tokens >= 0
        stream.finish(None if stream.usage else COUNTED)
    except (ProtocolError, ProviderFailure):
        pass


@pytest.mark.parametrize("surface", BODIES)
@pytest.mark.parametrize("protocol", STUBS)
@given(data=st.data())
def test_an_absurd_answer_is_the_provider_s_failure(
    protocol: ProtocolName, surface: Surface, data: st.DataObject
) -> None:
    stub = STUBS[protocol]
    prompt = "[[stub chunks=2 tool=2 think=1 cache=3]] hi"
    asked = StubRequest({}, "up", prompt, 9, None, False, {"weather": {}})
    answer = stub.whole(answer_to(asked, stub.call_prefix))
    path = data.draw(st.sampled_from(list(_places(answer))))
    absurd = _changed(answer, path, data.draw(st.sampled_from(ABSURD)))
    found = exchange_of(surface, protocol, streamed=False)
    try:
        whole = found.whole(orjson.dumps(absurd))
        whole.body(None if whole.usage else COUNTED)
    except (ProtocolError, ProviderFailure):
        pass
