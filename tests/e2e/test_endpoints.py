"""The APIs beside chat through OpenAI's SDK: what comes, what the provider was sent, and what the books say."""

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio

from deploy.local.stub.endpoints import PIXEL
from tests.stacks import Gateway

RECORDING = bytes(range(256)) * 500
"""128,000 bytes: by its size 256 seconds at the most."""


@pytest_asyncio.fixture(loop_scope="session")
async def client(gateway: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key=gateway.key, max_retries=0) as made:
        yield made


async def _sent(gateway: Gateway) -> Any:
    return (await gateway.http.get(f"{gateway.stack.stub_url}/stub/last")).json()


async def _booked(gateway: Gateway, headers: Any) -> tuple[int, int, list[tuple[str, int]]]:
    """What a request cost, what was held for it, and what was counted beside tokens."""
    entry = await gateway.entry(headers["x-request-id"])
    units = [(one["unit"], one["amount"]) for one in json.loads(entry["quantities"] or "[]")]
    assert entry["outcome"] == "completed"
    assert entry["cost_microdollars"] <= entry["reserved_microdollars"]
    return entry["cost_microdollars"], entry["reserved_microdollars"], units


@pytest.mark.parametrize("model", ["stub/echo", "claude/echo", "gemini/echo", "converse/echo", "responses/echo"])
async def test_completions_from_before_chat(gateway: Gateway, client: openai.AsyncOpenAI, model: str) -> None:
    raw = await client.completions.with_raw_response.create(model=model, prompt="hello", echo=True, max_tokens=50)
    whole = raw.parse()
    assert whole.object == "text_completion"
    assert whole.choices[0].text.startswith("hello")
    stream = await client.completions.create(
        model=model, prompt=["hello"], echo=True, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == whole.choices[0].text
    assert chunks[-1].usage is not None
    assert whole.usage is not None
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    entry = await gateway.entry(raw.headers["x-request-id"])
    assert (entry["surface"], entry["output_tokens"]) == ("completions", whole.usage.completion_tokens)
    with pytest.raises(openai.BadRequestError, match="list of tokens"):
        await client.completions.create(model=model, prompt=[1, 2, 3])


@pytest.mark.parametrize("model", ["stub/echo", "claude/echo", "gemini/echo", "converse/echo", "responses/echo"])
async def test_several_prompts_are_several_choices(gateway: Gateway, client: openai.AsyncOpenAI, model: str) -> None:
    prompts = [f"[[stub chunks={count}]]" for count in range(1, 13)]
    raw = await client.completions.with_raw_response.create(model=model, prompt=prompts, max_tokens=50)
    whole = raw.parse()
    assert [choice.index for choice in whole.choices] == list(range(12))
    assert [len(choice.text.split()) for choice in whole.choices] == list(range(1, 13))
    stream = await client.completions.with_raw_response.create(
        model=model, prompt=prompts, stream=True, stream_options={"include_usage": True}
    )
    texts, usage = [""] * 12, None
    async for chunk in stream.parse():
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts[choice.index] += choice.text
    assert texts == [choice.text for choice in whole.choices]
    assert whole.usage
    assert usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (whole.usage.prompt_tokens, 78)
    for headers in (raw.headers, stream.headers):
        entry = await gateway.entry(headers["x-request-id"])
        assert (entry["input_tokens"], entry["output_tokens"]) == (usage.prompt_tokens, 78)
        assert not entry["estimated"]
        assert 0 < entry["cost_microdollars"] <= entry["reserved_microdollars"]


@pytest.mark.parametrize("stream", [False, True])
async def test_one_prompt_that_is_refused_refuses_all(
    gateway: Gateway, client: openai.AsyncOpenAI, stream: bool
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await client.completions.create(
            model="claude/echo", prompt=["[[stub hang=1]]", "[[stub error=400]]"], stream=stream
        )
    entry = await gateway.entry(refused.value.response.headers["x-request-id"])
    assert (entry["outcome"], entry["cost_microdollars"]) == ("failed", 0)


async def test_prompts_of_tokens_are_text_where_the_tokenizer_is_known(
    gateway: Gateway, client: openai.AsyncOpenAI
) -> None:
    hello = [24912, 2375]
    whole = await client.completions.create(model="stub/tokens", prompt=hello, echo=True)
    assert whole.choices[0].text.startswith("hello world")
    assert (await _sent(gateway))["messages"][0]["content"] == "hello world"
    both = await client.completions.create(model="stub/tokens", prompt=[hello, hello])
    assert len(both.choices) == 2
    with pytest.raises(openai.BadRequestError, match="no text to this model's tokenizer"):
        await client.completions.create(model="stub/tokens", prompt=[200_018])


async def test_completions_pass_as_they_are_to_who_has_them(gateway: Gateway, client: openai.AsyncOpenAI) -> None:
    whole = await client.completions.create(model="native/echo", prompt=["a", "b"], logprobs=0, suffix="c")
    assert [choice.text for choice in whole.choices] == ["two words", "two words"]
    sent = await _sent(gateway)
    assert (sent["prompt"], sent["logprobs"], sent["suffix"], sent["model"]) == (["a", "b"], 0, "c", "echo-1")
    stream = await client.completions.create(model="native/echo", prompt="a", stream=True)
    assert "".join([chunk.choices[0].text async for chunk in stream]) == "two words"


async def test_moderations(client: openai.AsyncOpenAI) -> None:
    answer = await client.moderations.create(model="stub/moderation", input=["good", "bad"])
    assert [result.flagged for result in answer.results] == [False, True]
    assert answer.model == "stub/moderation"


@pytest.mark.parametrize(
    ("asked", "cost", "held"),
    [
        ({"n": 2, "quality": "hd", "size": "1024x1792"}, 240_000, 240_000),
        ({"n": 2, "quality": "hd", "size": "1024x1024"}, 160_000, 160_000),
        ({"n": 2}, 80_000, 240_000),
    ],
)
async def test_images_cost_by_quality_and_size(
    gateway: Gateway, client: openai.AsyncOpenAI, asked: Any, cost: int, held: int
) -> None:
    raw = await client.images.with_raw_response.generate(model="stub/images", prompt="a cat", **asked)
    assert [image.b64_json for image in raw.parse().data or ()] == [PIXEL, PIXEL]
    assert await _booked(gateway, raw.headers) == (cost, held, [("image", 2)])


async def test_images_that_are_counted_in_tokens(gateway: Gateway, client: openai.AsyncOpenAI) -> None:
    raw = await client.images.with_raw_response.generate(model="stub/gpt-image", prompt="a cat")
    assert raw.parse().usage is not None
    # 8 tokens of text, 4 of an image, 30 drawn.
    assert (await _booked(gateway, raw.headers))[0] == 8 * 5 + 4 * 10 + 30 * 40
    events = await client.images.generate(model="stub/gpt-image", prompt="a cat", stream=True, partial_images=1)
    kinds = [event.type async for event in events]
    assert kinds == ["image_generation.partial_image", "image_generation.completed"]


async def test_edits_are_forms_with_files(gateway: Gateway, client: openai.AsyncOpenAI) -> None:
    picture = base64.b64decode(PIXEL)
    raw = await client.images.with_raw_response.edit(
        model="stub/gpt-image",
        prompt="a hat",
        image=[("a.png", picture, "image/png"), ("b.png", picture, "image/png")],
        mask=("m.png", picture, "image/png"),
        n=2,
    )
    assert len(raw.parse().data or ()) == 2
    sent = await _sent(gateway)
    assert (sent["model"], sent["prompt"], sent["n"]) == ("gpt-image-1", "a hat", "2")
    digest = hashlib.sha256(picture).hexdigest()
    assert [one["sha256"] for one in [*sent["image[]"], sent["mask"]]] == [digest] * 3
    assert (await _booked(gateway, raw.headers))[2] == [("image", 2)]


@pytest.mark.parametrize("form", ["json", "verbose_json", "text", "srt", "vtt"])
async def test_transcriptions_cost_the_seconds_that_have_begun(
    gateway: Gateway, client: openai.AsyncOpenAI, form: Any
) -> None:
    raw = await client.audio.transcriptions.with_raw_response.create(
        model="stub/whisper", file=("a.mp3", RECORDING, "audio/mpeg"), response_format=form, language="en"
    )
    answer: Any = raw.parse()
    text = answer if isinstance(answer, str) else answer.text
    assert "128000 bytes" in text
    assert ("-->" in text) == (form in ("srt", "vtt"))
    assert raw.headers["content-type"].partition(";")[0] == {
        "text": "text/plain",
        "srt": "application/x-subrip",
        "vtt": "text/vtt",
    }.get(form, "application/json")
    sent = await _sent(gateway)
    assert (sent["model"], sent["language"], sent["response_format"]) == ("whisper-1", "en", "verbose_json")
    assert sent["file"] == {
        "filename": "a.mp3",
        "bytes": len(RECORDING),
        "sha256": hashlib.sha256(RECORDING).hexdigest(),
    }
    assert await _booked(gateway, raw.headers) == (800, 25_600, [("second", 8)])


async def test_a_stream_of_what_costs_seconds_is_one_event(client: openai.AsyncOpenAI) -> None:
    file = ("a.mp3", RECORDING, "audio/mpeg")
    stream = await client.audio.transcriptions.create(model="stub/whisper", file=file, stream=True)
    events: list[Any] = [event async for event in stream]
    assert [(event.type, event.text) for event in events] == [("transcript.text.done", "heard 128000 bytes")]


async def test_transcriptions_that_are_counted_in_tokens(gateway: Gateway, client: openai.AsyncOpenAI) -> None:
    ask: Any = {"model": "stub/transcribe", "file": ("a.mp3", RECORDING, "audio/mpeg")}
    raw = await client.audio.transcriptions.with_raw_response.create(response_format="text", **ask)
    assert raw.content == b"heard 128000 bytes\n"
    assert (await _booked(gateway, raw.headers))[0] == 12 * 6 + 30 * 10
    stream = await client.audio.transcriptions.create(stream=True, **ask)
    events: list[Any] = [event async for event in stream]
    assert "".join(event.delta for event in events[:-1]) == "heard 128000 bytes "
    assert (events[-1].type, events[-1].usage.total_tokens) == ("transcript.text.done", 42)


async def test_speech_comes_in_pieces_and_costs_its_characters(gateway: Gateway, client: openai.AsyncOpenAI) -> None:
    text = "one two thrää [[stub gap_ms=20]]"
    async with client.audio.speech.with_streaming_response.create(
        model="stub/speech", voice="alloy", input=text
    ) as response:
        content = b"".join([piece async for piece in response.iter_bytes()])
    assert content == "one two thrää [[stub gap_ms=20]] ".encode()
    assert response.headers["content-type"] == "audio/mpeg"
    cost = len(text) * 15
    assert await _booked(gateway, response.headers) == (cost, cost, [("character", len(text))])


async def test_a_recording_that_breaks_off_is_an_error_to_its_client(
    gateway: Gateway, client: openai.AsyncOpenAI
) -> None:
    # Far apart, so that what came before has left for the client.
    async with client.audio.speech.with_streaming_response.create(
        model="stub/speech", voice="alloy", input="one two three [[stub cut_after=2 gap_ms=200]]"
    ) as response:
        with pytest.raises(Exception, match=r"(?i)incomplete|closed|payload"):
            [piece async for piece in response.iter_bytes()]
    entry = await gateway.entry(response.headers["x-request-id"])
    assert (entry["outcome"], entry["status"]) == ("failed", 502)


async def test_speech_whose_client_leaves_is_paid_for(gateway: Gateway) -> None:
    body = {"model": "stub/speech", "input": "one two [[stub gap_ms=1000]]", "voice": "alloy"}
    headers = {"Authorization": f"Bearer {gateway.key}"}
    url = f"{gateway.base_url}/audio/speech"
    async with gateway.http.stream("POST", url, json=body, headers=headers) as response:
        async for _piece in response.aiter_raw():
            break
    entry = await gateway.entry(response.headers["x-request-id"])
    assert (entry["outcome"], json.loads(entry["quantities"])[0]["amount"]) == ("cancelled", len(str(body["input"])))


async def test_rerank(gateway: Gateway) -> None:
    body = {"model": "stub/rerank", "query": "q", "documents": ["a", "b", {"text": "c"}], "top_n": 2}
    headers = {"Authorization": f"Bearer {gateway.key}"}
    answer = await gateway.http.post(f"{gateway.base_url}/rerank", json=body, headers=headers)
    assert [result["index"] for result in answer.json()["results"]] == [0, 1]
    assert await _booked(gateway, answer.headers) == (2_000, 2_000, [("search", 1)])


async def test_what_is_wrong_is_said_at_the_door(gateway: Gateway, client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="has /images/generations"):
        await client.images.generate(model="claude/echo", prompt="a cat")
    with pytest.raises(openai.APIStatusError, match="larger than") as refused:
        await client.audio.transcriptions.create(model="stub/whisper", file=("a.mp3", b"\0" * 1_100_000))
    assert refused.value.status_code == 413
    headers = {"Authorization": f"Bearer {gateway.key}"}
    for path, status in (("/audio/transcriptions", 415), ("/images/edits", 415), ("/rerank", 400)):
        answer = await gateway.http.post(f"{gateway.base_url}{path}", json={"model": "stub/echo"}, headers=headers)
        assert answer.status_code == status, answer.text


async def test_usage_shows_units(gateway: Gateway, client: openai.AsyncOpenAI) -> None:
    raw = await client.images.with_raw_response.generate(model="stub/images", prompt="a cat", n=3)
    await gateway.entry(raw.headers["x-request-id"])
    rows = await gateway.manage("GET", "/api/usage?by=model")
    units = {row["model"]: row["units"] for row in rows}
    assert units["stub/images"]["image"] >= 3
    assert units.get("stub/echo", {}) == {}
    rows = await asyncio.gather(*(gateway.manage("GET", f"/api/usage?by={by}") for by in ("day", "member", "key")))
    assert all(max(row["units"].get("image", 0) for row in report) >= 3 for report in rows)
