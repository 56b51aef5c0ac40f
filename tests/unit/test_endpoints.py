"""The APIs beside chat: what is held for a request is never less than what its answer is charged."""

import base64
import struct
import wave
from io import BytesIO
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.prices import Price, Rates, UnitRate
from contracts.quantities import Quantity, Unit
from contracts.record import JSON
from contracts.requests import Surface
from contracts.usage import TokenUsage
from libs.chat.providers.answers import Exchange
from libs.chat.providers.protocol import ProtocolError, ProviderFailure
from libs.chat.surfaces.writer import SurfaceError
from libs.config.catalog import Offer
from libs.config.providers import Model, Pricing, Provider
from libs.endpoints.endpoint import tokens_of
from libs.endpoints.exchange import exchange
from libs.endpoints.form import Form, RequestError
from libs.endpoints.multipart import Part, encoded
from libs.endpoints.recordings import seconds_most
from libs.endpoints.registry import ENDPOINTS
from libs.pricing.cost import cost_microdollars, most_microdollars
from services.ingress.core.admission import content_type_of
from services.ingress.core.bodies import parse
from services.ingress.core.errors import BadRequest, WrongContentType

OPENAI = Provider(base_url="http://x")
FORM = "multipart/form-data; boundary=x"
PER_SECOND = Price(version="v", tiers=[Rates(input=0, output=0)], units=[UnitRate(unit=Unit.SECOND, rate=100_000_000)])


def _json(**fields: Any) -> Form:
    return Form(JSON, fields)


def _audio(content: bytes = b"\0" * 32_000, **fields: str) -> Form:
    parts = [Part(name, value.encode()) for name, value in fields.items()]
    return Form(FORM, {}, (*parts, Part("file", content, "a.mp3", "audio/mpeg")))


def _exchange(surface: Surface, form: Form, price: Price | None = None, *, streamed: bool = False) -> Exchange:
    return exchange(surface, form, OPENAI, model="o/m", upstream_model="m", streamed=streamed, price=price)


def _answered(surface: Surface, form: Form, answer: Any, price: Price | None = None) -> tuple[str, list[Quantity]]:
    found = _exchange(surface, form, price)
    text = found.whole(orjson.dumps(answer)).body(None)
    return text, list(found.quantities())


traits = st.sampled_from([None, "auto", "hd", "low", "1024x1024", "1024x1792", "?!"])


@given(
    st.dictionaries(
        st.sampled_from(["image", "image/hd", "image/low", "image/hd/1024x1792", "image/1024x1024"]),
        st.integers(0, 10**6),
        min_size=1,
    ),
    st.integers(1, 10),
    st.integers(0, 10),
    *[traits] * 4,
)
def test_images_cost_no_more_than_was_held(
    rates: dict[str, int], n: int, drawn: int, quality: Any, size: Any, drew: Any, sized: Any
) -> None:
    units = [UnitRate(unit=Unit.IMAGE, kind=name.partition("/")[2], rate=rate) for name, rate in rates.items()]
    price = Price(version="v", tiers=[Rates(input=0, output=0)], units=units)
    form = _json(prompt="a cat", n=n, quality=quality, size=size)
    held = most_microdollars(price, 0, 0, ENDPOINTS[Surface.IMAGE_GENERATIONS].needs(form).quantities)
    answer = {"data": [{}] * min(drawn, n), "quality": drew, "size": sized}
    _, used = _answered(Surface.IMAGE_GENERATIONS, form, answer)
    assert [one.amount for one in used] == [min(drawn, n)]
    assert cost_microdollars(price, TokenUsage(), used) <= held


def test_what_the_client_names_is_the_kind_else_what_the_answer_says() -> None:
    def kind(answer: dict[str, Any], **asked: Any) -> str:
        return _answered(Surface.IMAGE_GENERATIONS, _json(prompt="x", **asked), {"data": [{}], **answer})[1][0].kind

    assert kind({"quality": "low", "size": "1x1"}, quality="hd", size="1024x1792") == "hd/1024x1792"
    assert kind({"quality": "high", "size": "1024x1536"}) == "high/1024x1536"
    assert kind({"quality": "low", "size": "1x1"}, quality="hd") == "hd/1x1"
    assert kind({}) == ""


@pytest.mark.parametrize(
    ("surface", "form", "hint"),
    [
        (Surface.IMAGE_GENERATIONS, _json(), "`prompt`"),
        (Surface.IMAGE_GENERATIONS, _json(prompt="x", n=11), "`n`"),
        (Surface.IMAGE_GENERATIONS, _json(prompt="x", n=True), "`n`"),
        (Surface.IMAGE_GENERATIONS, _json(prompt="x", stream="yes"), "`stream`"),
        (Surface.IMAGE_EDITS, Form(FORM, {}, (Part("prompt", b"x"),)), "`image`"),
        (Surface.TRANSCRIPTIONS, Form(FORM, {}, (Part("prompt", b"x"),)), "`file`"),
        (Surface.TRANSCRIPTIONS, _audio(b""), "`file`"),
        (Surface.TRANSCRIPTIONS, _audio(response_format="docx"), "`response_format`"),
        (Surface.TRANSCRIPTIONS, _audio(response_format="srt", stream="true"), "Streams"),
        (Surface.SPEECH, _json(voice="alloy"), "`input`"),
        (Surface.SPEECH, _json(input="x", response_format="exe"), "`response_format`"),
        (Surface.RERANK, _json(query="x"), "`documents`"),
        (Surface.RERANK, _json(query="x", documents=[1]), "`documents`"),
        (Surface.RERANK, _json(documents=["x"]), "`query`"),
        (Surface.MODERATIONS, _json(), "`input`"),
    ],
)
def test_what_a_request_lacks_is_named(surface: Surface, form: Form, hint: str) -> None:
    with pytest.raises(RequestError, match=hint):
        ENDPOINTS[surface].needs(form)


def _wave(seconds: float, rate: int = 16_000, width: int = 2) -> bytes:
    out = BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(b"\0" * int(seconds * rate) * width)
    return out.getvalue()


@given(st.floats(0.1, 30), st.sampled_from([8_000, 16_000, 44_100]), st.sampled_from([1, 2, 4]))
def test_a_wave_file_is_as_long_as_its_samples(seconds: float, rate: int, width: int) -> None:
    most = seconds_most(_wave(seconds, rate, width))
    assert seconds <= most <= seconds + 2


def test_a_rate_of_bytes_that_lies_changes_nothing() -> None:
    true = _wave(10)
    lying = true[:28] + struct.pack("<I", 2**31) + true[32:]
    assert seconds_most(lying) == seconds_most(true)


@given(st.binary(max_size=100), st.sampled_from([b"", b"fLaC\0\0\0\x22", b"RIFF\0\0\0\0WAVEfmt "]))
def test_any_bytes_have_a_length(content: bytes, head: bytes) -> None:
    assert seconds_most(head + content) >= 0


def test_flac_says_how_long_it_is() -> None:
    packed = (48_000 << 44) | (1 << 41) | (15 << 36) | (48_000 * 5)
    stream_info = b"\0" * 10 + packed.to_bytes(8, "big") + b"\0" * 16
    assert seconds_most(b"fLaC\0\0\0\x22" + stream_info) == 5


VERBOSE = {
    "text": "hello world",
    "duration": 7.2,
    "segments": [{"start": 0, "end": 3.5, "text": " hello"}, {"start": 3.5, "end": 3661.2, "text": "a --> b\n\nc"}],
}


@pytest.mark.parametrize(
    ("wanted", "text", "content_type"),
    [
        (None, '{"text":"hello world"}', None),
        ("text", "hello world\n", "text/plain; charset=utf-8"),
        (
            "srt",
            "1\n00:00:00,000 --> 00:00:03,500\nhello\n\n2\n00:00:03,500 --> 01:01:01,200\na -> b c\n\n",
            "application/x-subrip; charset=utf-8",
        ),
        (
            "vtt",
            "WEBVTT\n\n00:00:00.000 --> 00:00:03.500\nhello\n\n00:00:03.500 --> 01:01:01.200\na -> b c\n\n",
            "text/vtt; charset=utf-8",
        ),
    ],
)
def test_a_model_priced_by_second_is_asked_for_seconds_whatever_the_client_wants(
    wanted: str | None, text: str, content_type: str | None
) -> None:
    form = _audio(response_format=wanted) if wanted else _audio()
    found = _exchange(Surface.TRANSCRIPTIONS, form, PER_SECOND)
    assert b'name="response_format"\r\n\r\nverbose_json' in found.outgoing.content
    assert found.whole(orjson.dumps(VERBOSE)).body(None) == text
    assert [(one.unit, one.amount) for one in found.quantities()] == [(Unit.SECOND, 8)]
    assert (found.content_type or JSON) == (content_type or JSON)


def test_a_stream_of_a_model_priced_by_second_is_one_event() -> None:
    found = _exchange(Surface.TRANSCRIPTIONS, _audio(stream="true"), PER_SECOND, streamed=True)
    assert b'name="stream"' not in found.outgoing.content
    assert (found.unstreamed, found.content_type) == (True, None)
    (event,) = found.whole(orjson.dumps(VERBOSE)).body(None).split("\n\n")[:-1]
    assert event == 'event: transcript.text.done\ndata: {"type":"transcript.text.done","text":"hello world"}'
    assert [one.amount for one in found.quantities()] == [8]
    assert not _exchange(Surface.TRANSCRIPTIONS, _audio(stream="true"), streamed=True).unstreamed


@pytest.mark.parametrize(("wanted", "sent"), [("text", b"json"), ("json", b"json"), ("verbose_json", b"verbose_json")])
def test_a_model_priced_by_token_is_asked_for_json(wanted: str, sent: bytes) -> None:
    found = _exchange(Surface.TRANSCRIPTIONS, _audio(response_format=wanted))
    assert b'name="response_format"\r\n\r\n' + sent + b"\r\n" in found.outgoing.content


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        ({"duration": "3.01"}, 4),
        ({"usage": {"seconds": 9}}, 9),
        ({}, 2),
        ({"duration": -1}, 2),
        ({"duration": "x"}, 2),
        ({"duration": True}, 1),
    ],
)
def test_seconds_are_what_the_provider_counts_else_what_is_usual(answer: Any, seconds: int) -> None:
    assert _answered(Surface.TRANSCRIPTIONS, _audio(), {"text": "", **answer}, PER_SECOND)[1][0].amount == seconds


def test_a_form_goes_on_with_another_model_and_the_file_byte_for_byte() -> None:
    content = bytes(range(256)) * 10
    sent = _exchange(Surface.TRANSCRIPTIONS, _audio(content, model="o/m", language="de")).outgoing
    assert sent.headers == {"Content-Type": FORM}
    read = Form.read(FORM, sent.content)
    assert (read.get("model"), read.get("language"), read.files("file")[0].content) == ("m", "de", content)


@given(st.text(max_size=50), st.lists(st.text(min_size=1, max_size=600), min_size=1, max_size=8), st.integers(0, 3))
def test_searches_are_held_by_the_size_of_documents(query: str, documents: list[str], counted: int) -> None:
    if not query:
        return
    form = _json(query=query, documents=documents)
    (held,) = ENDPOINTS[Surface.RERANK].needs(form).quantities
    chunks = sum(max(1, -(-len(one.encode(errors="surrogatepass")) // 250)) for one in documents)
    assert held.amount == -(-chunks // 100)
    assert _answered(Surface.RERANK, form, {"results": []})[1][0].amount == 1
    meta = {"billed_units": {"search_units": counted}}
    assert _answered(Surface.RERANK, form, {"results": [], "meta": meta})[1][0].amount == counted


def test_speech_is_counted_as_soon_as_it_is_asked_for() -> None:
    found = _exchange(Surface.SPEECH, _json(input="häß", response_format="opus"), streamed=True)
    assert (found.recording, found.content_type) == (True, "audio/opus")
    assert [(one.unit, one.amount) for one in found.quantities()] == [(Unit.CHARACTER, 3)]


def _events(found: Exchange, *events: Any) -> list[str]:
    return [found.stream.event(event if isinstance(event, str) else orjson.dumps(event).decode()) for event in events]


def test_the_last_event_waits_for_the_books() -> None:
    found = _exchange(Surface.IMAGE_GENERATIONS, _json(prompt="x", stream=True), streamed=True)
    usage = {"input_tokens": 5, "output_tokens": 9, "input_tokens_details": {"image_tokens": 2}}
    begun = _events(
        found,
        {"type": "image_generation.partial_image"},
        {"type": "image_generation.completed", "usage": usage, "quality": "low", "size": "1x1"},
    )
    assert begun == ['event: image_generation.partial_image\ndata: {"type":"image_generation.partial_image"}\n\n', ""]
    assert found.stream.usage == TokenUsage(input_tokens=5, output_tokens=9, input_image_tokens=2)
    assert [(one.amount, one.kind) for one in found.quantities()] == [(1, "low/1x1")]
    assert found.stream.finished
    assert not found.stream.done
    assert "image_generation.completed" in found.stream.finish(None)


def test_events_without_types_pass_and_their_usage_counts() -> None:
    found = _exchange(Surface.TRANSCRIPTIONS, _audio(stream="true"), streamed=True)
    assert _events(found, {"choices": []}, {"choices": [], "usage": {"prompt_tokens": 3}}, "[DONE]") == [
        'data: {"choices":[]}\n\n',
        'data: {"choices":[],"usage":{"prompt_tokens":3}}\n\n',
        "data: [DONE]\n\n",
    ]
    assert found.stream.done
    assert found.stream.usage == TokenUsage(input_tokens=3)


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"error": {"message": "no"}}, ProviderFailure),
        ({"type": "error"}, ProviderFailure),
        ({"type": 7}, ProtocolError),
        ({"type": "a\nb"}, ProtocolError),
        ("[]", ProtocolError),
        ("{", ProtocolError),
    ],
)
def test_events_that_make_no_sense_end_the_stream(event: Any, error: type[Exception]) -> None:
    found = _exchange(Surface.SPEECH, _json(input="x", stream_format="sse"), streamed=True)
    with pytest.raises(error):
        _events(found, event)


def test_an_error_with_200_is_one() -> None:
    with pytest.raises(ProviderFailure, match="no"):
        _answered(Surface.MODERATIONS, _json(input="x"), {"error": {"message": "no"}})


@pytest.mark.parametrize(
    "provider",
    [Provider(base_url="http://x", protocol="gemini"), Provider(base_url="http://x", lacks=[Surface.RERANK])],
)
def test_a_provider_without_the_api_is_named(provider: Provider) -> None:
    with pytest.raises(SurfaceError, match="/rerank"):
        exchange(
            Surface.RERANK,
            _json(query="x", documents=["y"]),
            provider,
            model="m",
            upstream_model="m",
            streamed=False,
            price=None,
        )


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"total_tokens": 7}, TokenUsage(input_tokens=7)),
        ({"prompt_tokens": 3, "completion_tokens": 1}, TokenUsage(input_tokens=3, output_tokens=1)),
        (
            {"input_tokens": 9, "output_tokens": 2, "input_token_details": {"audio_tokens": 8}},
            TokenUsage(input_tokens=9, output_tokens=2, input_audio_tokens=8),
        ),
        ({"type": "duration", "seconds": 3}, None),
        ({"input_tokens": -1}, None),
        (None, None),
    ],
)
def test_tokens_are_read_in_all_shapes(usage: Any, tokens: TokenUsage | None) -> None:
    assert tokens_of({"usage": usage}) == tokens


def test_the_ingress_reads_forms_and_says_what_is_wrong_with_them() -> None:
    body = encoded(_audio(model="o/m", provider='{"only": ["p"]}').parts, "x")
    asked = parse(Surface.TRANSCRIPTIONS, body, FORM)
    assert (asked.model, asked.stream, asked.wanted.only) == ("o/m", False, ("p",))
    assert asked.quantities == (Quantity(unit=Unit.SECOND, amount=64),)
    for broken in (body[:-5], encoded(_audio().parts, "x"), encoded(_audio(model="m", provider="x").parts, "x")):
        with pytest.raises(BadRequest):
            parse(Surface.TRANSCRIPTIONS, broken, FORM)
    assert content_type_of({"content-type": FORM}, Surface.TRANSCRIPTIONS) == FORM
    assert content_type_of({"content-type": "application/json; charset=utf-8"}, Surface.SPEECH) == JSON
    for wrong, surface in ((FORM, Surface.SPEECH), (JSON, Surface.TRANSCRIPTIONS), ("", Surface.IMAGE_EDITS)):
        with pytest.raises(WrongContentType):
            content_type_of({"content-type": wrong}, surface)


def test_units_alone_are_a_price_and_half_a_price_of_tokens_is_none() -> None:
    assert Offer(Model(id="a/b", provider="p", upstream_model="u", pricing=Pricing(units={"image": "1"})), "p", OPENAI)
    for wrong in ({}, {"prompt": "1"}, {"units": {"mile": "1"}}, {"units": {"image": "0.0000000000001"}}):
        with pytest.raises(ValueError, match=r".*"):
            Pricing.model_validate(wrong)


def test_a_picture_in_an_answer_passes_as_it_is() -> None:
    picture = base64.b64encode(bytes(range(256))).decode()
    text, _ = _answered(Surface.IMAGE_GENERATIONS, _json(prompt="x"), {"data": [{"b64_json": picture}], "model": "m"})
    assert orjson.loads(text) == {"data": [{"b64_json": picture}], "model": "o/m"}
