"""What one ingress has begun is gone on with, read along, cancelled and asked again at another that runs beside it."""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import openai
import pytest_asyncio

from tests.stacks import Gateway, NotYet, chat, until

RUNS = "[[stub chunks=60 gap_ms=30]]"
LONG = "[[stub chunks=3000 gap_ms=30]]"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def other(gateway: Gateway) -> AsyncIterator[str]:
    """The URL of a second ingress."""
    await gateway.stack.start_service("ingress", 2)

    async def ready() -> bool | NotYet:
        health = (await gateway.stack.health())["ingress-2"]
        return bool(health.get("ready")) or NotYet(health)

    await until(ready, what="a second ingress", within_s=90)
    yield gateway.stack.ingress_url(2)
    await gateway.stack.remove_service("ingress", 2)


def _auth(gateway: Gateway, **headers: str) -> dict[str, str]:
    return {"authorization": f"Bearer {gateway.key}", **headers}


def _begun(gateway: Gateway, text: str, url: str, **headers: str) -> AbstractAsyncContextManager[httpx.Response]:
    body = chat(text, stream=True)
    return gateway.http.stream("POST", f"{url}/chat/completions", json=body, headers=_auth(gateway, **headers))


async def test_a_stream_goes_on_at_the_other(gateway: Gateway, other: str) -> None:
    async with _begun(gateway, RUNS, gateway.stack.ingress_url(1)) as first:
        again = f"{other}/streams/{first.headers['x-sluice-stream']}"
        coming = first.aiter_raw()
        pieces = [await anext(coming)]
        last = re.findall(rb"^id: (\d+)$", pieces[0], re.MULTILINE)[-1].decode()
        reading = asyncio.create_task(gateway.http.get(again, headers=_auth(gateway, **{"last-event-id": last})))
        pieces += [piece async for piece in coming]
    whole = b"".join(pieces)
    assert b"[DONE]" in whole
    assert (await reading).content == whole[int(last) :]
    assert (await gateway.http.get(again, headers=_auth(gateway))).content == whole


async def test_a_stream_is_cancelled_at_the_other(gateway: Gateway, other: str) -> None:
    async with _begun(gateway, LONG, gateway.stack.ingress_url(1)) as first:
        ended = await gateway.http.delete(f"{other}/streams/{first.headers['x-sluice-stream']}", headers=_auth(gateway))
        assert ended.status_code == 204
        whole = await first.aread()
    assert b'"code":499' in whole
    assert (await gateway.entry(first.headers["x-request-id"]))["outcome"] == "cancelled"


async def test_one_key_at_both_at_once_is_one_run(gateway: Gateway, other: str) -> None:
    before = (await gateway.stub_stats()).get("requests", 0)
    key = {"idempotency-key": secrets.token_hex(8)}

    async def whole(url: str) -> tuple[bytes, bool]:
        async with _begun(gateway, RUNS, url, **key) as response:
            assert response.status_code == 200, await response.aread()
            return await response.aread(), "idempotent-replayed" in response.headers

    answers = await asyncio.gather(*(whole(url) for url in (gateway.stack.ingress_url(1), other) * 2))
    assert {content for content, _ in answers} == {answers[0][0]}
    assert answers[0][0].count(b'"content":') >= 60
    assert sorted(replayed for _, replayed in answers) == [False, True, True, True]
    assert (await gateway.stub_stats())["requests"] == before + 1


async def test_a_response_in_the_background_is_seen_and_cancelled_at_the_other(gateway: Gateway, other: str) -> None:
    here = openai.AsyncOpenAI(base_url=gateway.stack.ingress_url(1), api_key=gateway.key, max_retries=0)
    there = openai.AsyncOpenAI(base_url=other, api_key=gateway.key, max_retries=0)
    async with here, there:
        begun = await here.responses.create(model="stub/echo", input=RUNS, background=True)
        events: list[Any] = [event async for event in await there.responses.retrieve(begun.id, stream=True)]
        assert events[-1].response.output_text == (await here.responses.retrieve(begun.id)).output_text != ""
        long = await here.responses.create(model="stub/echo", input=LONG, background=True)
        assert (await there.responses.cancel(long.id)).status == "cancelled"
