"""Errors after the first byte, as the clients' own parsers understand them."""

from collections.abc import Iterator

import httpx2
import openai
import orjson
import pytest

from contracts.requests import Surface
from libs.chat.providers.protocol import ProviderFailure
from libs.chat.surfaces.registry import DIALECTS
from tests.unit.streams import events_of, exchange_of

TEXT = '{"choices":[{"index":0,"delta":{"content":"hel"},"finish_reason":null}]}'


def _broken(surface: Surface) -> tuple[str, str]:
    """What a client got of a stream, and the error that follows."""
    stream = exchange_of(surface).stream
    sent = [stream.event(TEXT), stream.event(TEXT)]
    return "".join(sent), DIALECTS[surface].error_event("The provider p broke off.", 502, sent[-1])


def _http(surface: Surface) -> httpx2.Client:
    content = "".join(_broken(surface)).encode()
    headers = {"content-type": "text/event-stream"}
    return httpx2.Client(
        transport=httpx2.MockTransport(lambda _: httpx2.Response(200, headers=headers, content=content))
    )


@pytest.fixture
def client() -> Iterator[openai.OpenAI]:
    """Of OpenAI, whose answers are in the tests."""
    with openai.OpenAI(api_key="k", base_url="http://x", max_retries=0) as found:
        yield found


def test_of_chat_completions_has_an_error_and_nothing_else() -> None:
    """With ``choices`` beside it, @ai-sdk/openai takes it for a chunk, whose schema is the first that it tries."""
    (event,) = events_of(_broken(Surface.CHAT_COMPLETIONS)[1])
    assert event == {"error": {"message": "The provider p broke off.", "code": 502}}


def test_of_chat_completions_is_raised_by_openai_s_sdk(client: openai.OpenAI) -> None:
    asking = client.with_options(http_client=_http(Surface.CHAT_COMPLETIONS)).chat.completions
    texts = []
    with pytest.raises(openai.APIError, match="broke off") as raised:
        texts += [
            chunk.choices[0].delta.content
            for chunk in asking.create(model="a/b", messages=[{"role": "user", "content": "hi"}], stream=True)
        ]
    assert raised.value.code == "502"
    with pytest.raises(openai.APIError, match="broke off"), asking.stream(model="a/b", messages=[]) as stream:
        stream.get_final_completion()


def test_of_responses_is_raised_by_openai_s_sdk_and_its_helper(client: openai.OpenAI) -> None:
    """The helper raises what has ``error``; without, it waits for the end and hides the reason."""
    asking = client.with_options(http_client=_http(Surface.RESPONSES)).responses
    with pytest.raises(openai.APIError, match="broke off") as raised, asking.stream(model="a/b", input="hi") as stream:
        stream.get_final_response()
    assert raised.value.code == "502"
    with pytest.raises(openai.APIError, match="broke off"):
        list(asking.create(model="a/b", input="hi", stream=True))


def test_of_responses_goes_on_with_the_numbers() -> None:
    sent, error = _broken(Surface.RESPONSES)
    events = events_of(sent + error)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    flat = {"type": "error", "message": "The provider p broke off.", "code": "502", "param": None}
    assert events[-1] == {
        **flat,
        "error": {**flat, "type": "server_error"},
        "sequence_number": len(events) - 1,
    }


@pytest.mark.parametrize("sent", ["", "data: [DONE]\n\n", 'data: {"type":"x"}\n\n', "data: cut"])
def test_of_responses_begins_at_0_where_nothing_is_known(sent: str) -> None:
    (event,) = events_of(DIALECTS[Surface.RESPONSES].error_event("m", 400, sent))
    assert (event["sequence_number"], event["error"]["type"]) == (0, "invalid_request_error")


def test_of_responses_goes_on_with_a_provider_s_own_numbers() -> None:
    stream = exchange_of(Surface.RESPONSES, "openai-responses").stream
    sent = stream.event('{"type":"response.output_text.delta","delta":"\\"sequence_number\\":3","sequence_number":41}')
    (event,) = events_of(DIALECTS[Surface.RESPONSES].error_event("m", 502, sent))
    assert event["sequence_number"] == 42


def test_what_a_provider_sends_beside_choices_is_its_error_too() -> None:
    """As gateways have it that speak of errors in a chunk's form."""
    chunk = {"error": {"message": "overloaded"}, "choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]}
    with pytest.raises(ProviderFailure, match="overloaded"):
        exchange_of(Surface.CHAT_COMPLETIONS).stream.event(orjson.dumps(chunk).decode())
