"""Streams that break off and go on: from where they were, to the byte, and only for whom they are."""

import asyncio
import re
from argparse import Namespace
from contextlib import AbstractAsyncContextManager
from typing import Any

import httptools
import httpx
import pytest

from tests.bench.streams import Seen, read_all
from tests.e2e.cutting import Proxy, cutting
from tests.stacks import Gateway, chat

SURFACES: dict[str, dict[str, Any]] = {
    "/chat/completions": chat("[[stub chunks=12]]", stream_options={"include_usage": True}),
    "/responses": {"model": "stub/echo", "input": "[[stub chunks=12]]"},
    "/messages": {"model": "stub/echo", "max_tokens": 99, "messages": chat("[[stub chunks=12]]")["messages"]},
}


def _auth(gateway: Gateway, **headers: str) -> dict[str, str]:
    return {"authorization": f"Bearer {gateway.key}", **headers}


async def _asked(gateway: Gateway, path: str = "/chat/completions", **more: Any) -> httpx.Response:
    body = {**SURFACES[path], "stream": True, **more}
    response = await gateway.http.post(f"{gateway.base_url}{path}", json=body, headers=_auth(gateway))
    assert response.status_code == 200
    return response


def _begun(gateway: Gateway, body: Any, **headers: str) -> AbstractAsyncContextManager[httpx.Response]:
    """A stream of which nothing was read yet."""
    return gateway.http.stream(
        "POST", f"{gateway.base_url}/chat/completions", json=body, headers=_auth(gateway, **headers)
    )


def _ids(content: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"^id: (\d+)$", content, re.MULTILINE)]


async def _again(gateway: Gateway, stream: str, last: int | None = None, **headers: str) -> httpx.Response:
    asked = {} if last is None else {"last-event-id": str(last)}
    return await gateway.http.get(f"{gateway.base_url}/streams/{stream}", headers=_auth(gateway, **asked, **headers))


@pytest.mark.parametrize("path", SURFACES)
async def test_a_stream_is_there_again_from_any_event_on(gateway: Gateway, path: str) -> None:
    whole = await _asked(gateway, path)
    stream, ids = whole.headers["x-sluice-stream"], _ids(whole.content)
    assert len(ids) == whole.content.count(b"\n\n")
    assert ids[-1] == len(whole.content)
    found = await _again(gateway, stream)
    assert (found.content, found.headers["content-type"]) == (whole.content, whole.headers["content-type"])
    assert found.headers["x-request-id"] == whole.headers["x-request-id"]
    answers = await asyncio.gather(*(_again(gateway, stream, last) for last in ids[:-1]))
    for last, answer in zip(ids, answers, strict=False):
        assert answer.content == whole.content[last:]
    over = await _again(gateway, stream, ids[-1])
    assert (over.status_code, over.content) == (204, b"")


async def test_a_whole_answer_is_there_again(gateway: Gateway) -> None:
    whole = await gateway.post(chat("hi"))
    found = await _again(gateway, whole.headers["x-sluice-stream"])
    assert (found.status_code, found.content) == (200, whole.content)
    assert found.headers["content-type"] == "application/json"


async def test_a_stream_that_runs_goes_on_live(gateway: Gateway) -> None:
    body = {**SURFACES["/chat/completions"], **chat("[[stub chunks=60 gap_ms=20]]", stream=True)}
    async with _begun(gateway, body) as first:
        reading = asyncio.create_task(_again(gateway, first.headers["x-sluice-stream"], accept="text/event-stream"))
        whole = await first.aread()
    found = await reading
    assert found.content == b"retry: 1000\n" + whole
    assert whole.endswith(b"\n\n")


async def test_somebody_else_s_stream_is_none(gateway: Gateway) -> None:
    stream = (await _asked(gateway)).headers["x-sluice-stream"]
    account = await gateway.manage("POST", "/api/accounts", {"email": "streams@example.com"})
    other = await gateway.manage("POST", f"/api/accounts/{account['id']}/keys", {})
    url = f"{gateway.base_url}/streams/{stream}"
    for headers in ({"authorization": f"Bearer {other['key']}"}, {}):
        for method in ("GET", "DELETE"):
            answer = await gateway.http.request(method, url, headers=headers)
            assert (answer.status_code, "no such stream" in answer.text) == (404, True)
    assert (await gateway.http.get(url, headers={"authorization": "Bearer wrong"})).status_code == 401
    forged = stream[:-4] + ("AAAA" if stream[-4:] != "AAAA" else "AAAQ")
    for none in (forged, "stream_", "stream_" + "A" * 35, "x", "stream_AAA_" + "_" * 31):
        assert (await _again(gateway, none)).status_code == 404
    assert (await _again(gateway, stream, -1)).status_code == 400


async def test_an_anonymous_client_s_stream_is_its_address_s(gateway: Gateway) -> None:
    # Other tests use up what 127.0.0.1 has of free requests.
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(local_address="127.0.0.2")) as nobody:
        body = chat("[[stub chunks=3]]", model="stub/echo:free", stream=True)
        whole = await nobody.post(f"{gateway.base_url}/chat/completions", json=body)
        url = f"{gateway.base_url}/streams/{whole.headers['x-sluice-stream']}"
        assert (await nobody.get(url)).content == whole.content
    assert (await gateway.http.get(url)).status_code == 404
    assert (await gateway.http.get(url, headers=_auth(gateway))).status_code == 404


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/chat/completions", chat("[[stub chunks=2]]")),
        ("/responses", {"input": "[[stub chunks=1]]"}),
        ("/messages", {"messages": chat("[[stub chunks=1]]")["messages"]}),
    ],
)
async def test_a_stream_cut_at_every_byte_is_the_whole_in_the_end(
    gateway: Gateway, path: str, more: dict[str, Any]
) -> None:
    """A real connection each, cut within the headers, within an event, within its ID, at its end."""
    asked = await _asked(gateway, path, **more)
    whole, again = asked.content, f"/api/gateway/streams/{asked.headers['x-sluice-stream']}"
    async with cutting(gateway.base_url) as proxy:
        headers = sum(len(name) + len(value) + 4 for name, value in asked.headers.raw)
        for begin in range(1, len(whole) + headers, 40):
            cuts = range(begin, begin + 40)
            await asyncio.gather(*(_cut_and_resumed(gateway, proxy, again, whole, cut) for cut in cuts))


async def _cut_and_resumed(gateway: Gateway, proxy: Proxy, path: str, whole: bytes, cut: int) -> None:
    got = await _read(proxy.port, path, _auth(gateway, **{"x-cut": str(cut)}))
    assert whole.startswith(got)
    had = got[: got.rfind(b"\n\n") + 2] if b"\n\n" in got else b""
    last = {"last-event-id": str(_ids(had)[-1])} if had else {}
    assert had + await _read(proxy.port, path, _auth(gateway, **last)) == whole


class _Body(bytearray):
    def on_body(self, piece: bytes) -> None:
        self.extend(piece)


async def _read(port: int, path: str, headers: dict[str, str]) -> bytes:
    """The body as far as it comes, of a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [
        f"GET {path} HTTP/1.1",
        "host: gateway",
        "connection: close",
        *(f"{name}: {headers[name]}" for name in headers),
        "",
        "",
    ]
    writer.write("\r\n".join(lines).encode())
    body = _Body()
    parser = httptools.HttpResponseParser(body)
    while piece := await reader.read(65_536):
        parser.feed_data(piece)
    writer.close()
    return bytes(body)


async def test_a_client_that_leaves_may_let_its_answer_go_on(gateway: Gateway) -> None:
    body = chat("[[stub chunks=40 gap_ms=20]]", stream=True)
    async with _begun(gateway, body, **{"x-sluice-on-disconnect": "continue"}) as first:
        stream = first.headers["x-sluice-stream"]
        got = await anext(first.aiter_raw())
    last = _ids(got)[-1]
    rest = await _again(gateway, stream, last)
    assert rest.content.endswith(b"\n\n")
    assert b"[DONE]" in rest.content
    assert (got[:last] + rest.content) == (await _again(gateway, stream)).content
    entry = await gateway.entry(first.headers["x-request-id"])
    assert (entry["outcome"], entry["output_tokens"]) == ("completed", 40)
    wrong = await gateway.post(chat("hi"), **{"x-sluice-on-disconnect": "maybe"})
    assert (wrong.status_code, "cancel or continue" in wrong.text) == (400, True)


async def test_a_stream_is_cancelled_from_anywhere(gateway: Gateway) -> None:
    body = chat("[[stub chunks=2000 gap_ms=20]]", stream=True)
    async with _begun(gateway, body, **{"x-sluice-on-disconnect": "continue"}) as first:
        url = f"{gateway.base_url}/streams/{first.headers['x-sluice-stream']}"
        ended = await gateway.http.delete(url, headers=_auth(gateway))
        assert ended.status_code == 204
        whole = await first.aread()
    assert b"[DONE]" not in whole
    assert b'"code":499' in whole
    entry = await gateway.entry(first.headers["x-request-id"])
    assert entry["outcome"] == "cancelled"
    assert (await gateway.http.delete(url, headers=_auth(gateway))).status_code == 204
    assert (await gateway.http.get(url, headers=_auth(gateway))).content == whole


async def test_a_sample_of_the_bench_of_slow_streams(gateway: Gateway) -> None:
    seen = Seen()
    options = Namespace(streams=20, seconds=2, gap=50, cut=20, ramp=0.2)
    await read_all(gateway.base_url, [gateway.key], options, seen)
    assert (seen.whole, seen.resumed, seen.failed) == (20, 4, [])


async def test_a_client_that_reads_nothing_for_long_is_given_all(gateway: Gateway) -> None:
    """Far more than is held for a client, or in sockets' buffers, while nobody reads."""
    body = chat("[[stub chunks=16000]]", stream=True)
    async with _begun(gateway, body, **{"x-sluice-on-disconnect": "continue"}) as first:
        request_id = first.headers["x-request-id"]
        entry = await gateway.entry(request_id)
        assert entry["outcome"] == "completed"
        whole = await first.aread()
    assert _ids(whole)[-1] == len(whole)
    assert whole.count(b'"content":') == 16_000
