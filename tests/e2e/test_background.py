"""``background: true`` of Responses, as OpenAI's SDK asks for it: at once, asked again, read along, cancelled."""

import asyncio
import re
import secrets
from typing import Any

import openai
import pytest

from tests.stacks import Gateway, until

MODELS = ("stub/echo", "claude/echo", "responses/echo")


def _client(gateway: Gateway, key: str | None = None) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=gateway.base_url, api_key=key or gateway.key, max_retries=0)


async def _ended(client: openai.AsyncOpenAI, response_id: str) -> Any:
    async def ended() -> Any:
        found = await client.responses.retrieve(response_id)
        assert found.id == response_id
        return found if found.status not in ("queued", "in_progress") else None

    return await until(ended, what="the end of a response")


@pytest.mark.parametrize("model", MODELS)
async def test_a_response_is_made_in_the_background(gateway: Gateway, model: str) -> None:
    async with _client(gateway) as client:
        begun = await client.responses.create(model=model, input="[[stub chunks=30 gap_ms=20]]", background=True)
        assert (begun.status, begun.background, begun.output_text) == ("queued", True, "")
        assert begun.id.startswith("resp_sluice_")
        seen = await client.responses.retrieve(begun.id)
        assert seen.status in ("queued", "in_progress")
        ended = await _ended(client, begun.id)
        assert (ended.status, ended.background, bool(ended.output_text)) == ("completed", True, True)
        assert ended.usage.output_tokens == 30
        following = await client.responses.create(model=model, input="and?", previous_response_id=begun.id, store=True)
        assert following.status == "completed"
        again = await client.responses.cancel(begun.id)
        assert (again.status, again.output_text) == ("completed", ended.output_text)


async def test_a_stream_in_the_background_goes_on_after_an_event(gateway: Gateway) -> None:
    async with _client(gateway) as client:
        stream = await client.responses.create(
            model="stub/echo", input="[[stub chunks=40 gap_ms=20]]", background=True, stream=True
        )
        seen: list[Any] = []
        async for event in stream:
            seen.append(event)
            if len(seen) == 10:
                break
        await stream.close()
        response_id = seen[0].response.id
        rest: list[Any] = [
            event
            async for event in await client.responses.retrieve(
                response_id, stream=True, starting_after=seen[-1].sequence_number
            )
        ]
        whole: list[Any] = [event async for event in await client.responses.retrieve(response_id, stream=True)]
        assert [event.sequence_number for event in (*seen, *rest)] == list(range(len(whole)))
        assert [*seen, *rest] == whole
        for after in range(0, len(whole), 4):
            later = await client.responses.retrieve(response_id, stream=True, starting_after=after)
            assert [event async for event in later] == whole[after + 1 :]
        assert rest[-1].response.id == response_id
        assert (await client.responses.retrieve(response_id)).output_text == rest[-1].response.output_text


async def test_a_response_in_the_background_is_cancelled_from_anywhere(gateway: Gateway) -> None:
    async with _client(gateway) as client:
        begun = await client.responses.create(
            model="stub/echo", input="[[stub chunks=2000 gap_ms=20]]", background=True
        )

        async def in_progress() -> bool | None:
            return (await client.responses.retrieve(begun.id)).status == "in_progress" or None

        await until(in_progress, what="a beginning")
        cancelled = await client.responses.cancel(begun.id)
        assert (cancelled.id, cancelled.status) == (begun.id, "cancelled")
        assert (await client.responses.retrieve(begun.id)).status == "cancelled"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_key_stands_for_one_response(gateway: Gateway, stream: bool) -> None:
    """The ID that its client lost on the way is given again; who has it needs no key."""
    body = {"model": "stub/echo", "input": "[[stub chunks=20 gap_ms=20]]", "background": True, "stream": stream}
    headers = {"authorization": f"Bearer {gateway.key}", "idempotency-key": secrets.token_hex(8)}
    before = (await gateway.stub_stats()).get("requests", 0)
    answers = await asyncio.gather(
        *(gateway.http.post(f"{gateway.base_url}/responses", json=body, headers=headers) for _ in range(3))
    )
    assert {answer.status_code for answer in answers} == {200}, answers[0].text
    assert sorted("idempotent-replayed" in answer.headers for answer in answers) == [False, True, True]
    names = {name for answer in answers for name in re.findall(r"resp_sluice_[A-Za-z0-9_-]{43}", answer.text)}
    assert len(names) == 1
    async with _client(gateway) as client:
        whole: list[Any] = [event async for event in await client.responses.retrieve(names.copy().pop(), stream=True)]
        ended = await _ended(client, names.pop())
    assert (ended.status, ended.output_text) == ("completed", whole[-1].response.output_text)
    later = await gateway.http.post(f"{gateway.base_url}/responses", json=body, headers=headers)
    if stream:
        assert later.text == answers[0].text
    else:
        assert (later.json()["status"], later.json()["id"]) == ("completed", ended.id)
    assert (await gateway.stub_stats())["requests"] == before + 1
    other = await gateway.http.post(f"{gateway.base_url}/responses", json=body | {"input": "x"}, headers=headers)
    assert other.status_code == 422


async def test_what_fails_in_the_background_says_why(gateway: Gateway) -> None:
    async with _client(gateway) as client:
        begun = await client.responses.create(model="stub/echo", input="[[stub error=400]]", background=True)
        failed = await _ended(client, begun.id)
        assert (failed.status, failed.error.code) == ("failed", "invalid_prompt")
        assert failed.error.message


async def test_who_may_not_ask_in_the_background(gateway: Gateway) -> None:
    account = await gateway.manage("POST", "/api/accounts", {"email": "background@example.com"})
    key = (await gateway.manage("POST", f"/api/accounts/{account['id']}/keys", {}))["key"]
    async with _client(gateway) as client, _client(gateway, key) as stranger:
        with pytest.raises(openai.BadRequestError, match="store"):
            await client.responses.create(model="stub/echo", input="x", background=True, store=False)
        begun = await client.responses.create(model="stub/echo", input="[[stub chunks=3]]", background=True)
        for ask in (stranger.responses.retrieve, stranger.responses.cancel, stranger.responses.delete):
            with pytest.raises(openai.NotFoundError):
                await ask(begun.id)
        plain = await client.responses.create(model="stub/echo", input="x", store=True)
        with pytest.raises(openai.BadRequestError, match="background"):
            await client.responses.cancel(plain.id)
        with pytest.raises(openai.BadRequestError, match="background"):
            await client.responses.retrieve(plain.id, stream=True)
    body = {"model": "stub/echo:free", "input": "x", "background": True}
    assert (await gateway.http.post(f"{gateway.base_url}/responses", json=body)).status_code == 401
