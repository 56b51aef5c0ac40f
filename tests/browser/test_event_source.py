"""A browser's own EventSource goes on with a stream by itself: nothing of ours runs in its page."""

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import Browser

from tests.e2e.cutting import cutting
from tests.stacks import Gateway, chat

pytestmark = pytest.mark.asyncio(loop_scope="session")

WORDS = "[[stub chunks=60 gap_ms=20]]"
"""The shortest of the three streams is 8.5 kB: more than two connections bring."""
SURFACES: dict[str, dict[str, Any]] = {
    "/chat/completions": chat(WORDS),
    "/responses": {"model": "stub/echo", "input": WORDS},
    "/messages": {"model": "stub/echo", "max_tokens": 99, "messages": chat(WORDS)["messages"]},
}
CUT_AFTER = 3_500
"""Bytes of each connection: the headers of the answer, and some events."""
READ = """([url, types]) => new Promise(resolve => {
  const source = new EventSource(url), events = [];
  let opened = 0;
  source.onopen = () => opened++;
  for (const type of types)
    source.addEventListener(type, event => events.push([event.lastEventId, event.data]));
  source.onerror = () => source.readyState === EventSource.CLOSED && resolve([opened, events]);
})"""


@pytest.mark.parametrize("path", SURFACES)
async def test_an_event_source_goes_on_by_itself(gateway: Gateway, browser: Browser, path: str) -> None:
    """It is cut again and again, live and after the end, and what its page has is the stream."""
    key = {"authorization": f"Bearer {gateway.key}"}
    body = {**SURFACES[path], "stream": True}
    async with gateway.http.stream("POST", f"{gateway.base_url}{path}", json=body, headers=key) as asked:
        assert asked.status_code == 200
        reading = asyncio.create_task(asked.aread())
        # The page's own server: an EventSource sends no headers, so that adds the key.
        async with cutting(gateway.base_url, CUT_AFTER, key) as proxy:
            page = await browser.new_page()
            home = f"http://127.0.0.1:{proxy.port}/"
            await page.route(home, lambda route: route.fulfill(content_type="text/html", body="<title>A chat</title>"))
            await page.goto(home)
            await page.unroute(home)
            url = f"/api/gateway/streams/{asked.headers['x-sluice-stream']}"
            types = sorted({"message", *EVENT_TYPES[path]})
            opened, events = await page.evaluate(READ, [url, types])
            await page.close()
        whole = (await reading).decode()
    assert opened == proxy.cuts + 1 > 2
    assert events == [[one["id"], one["data"]] for one in _events(whole)]


EVENT_TYPES = {
    "/chat/completions": (),
    "/responses": [
        f"response.{name}"
        for name in (
            *("created", "in_progress", "output_item.added", "content_part.added", "output_text.delta"),
            *("output_text.done", "content_part.done", "output_item.done", "completed"),
        )
    ],
    "/messages": [
        *("message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta"),
        *("message_stop", "ping"),
    ],
}


def _events(stream: str) -> list[dict[str, str]]:
    """As the HTML standard has them: fields of lines, until an empty one. Comments are the connection's."""
    blocks = [re.findall(r"^(id|data): (.*)$", block, re.MULTILINE) for block in stream.split("\n\n")]
    return [dict(fields) for fields in blocks if fields]
