"""Several calls that are one request: a few at a time, and none is left running when one fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from contracts.record import Refusal
from contracts.requests import Surface
from contracts.usage import TokenUsage
from libs.chat.providers.answers import Exchange
from libs.chat.providers.protocol import ProtocolError
from services.relay.core.estimating import Paces
from services.relay.core.tally import Tally
from services.relay.counting import Counting
from services.relay.parts import MOST_AT_ONCE, answering
from services.relay.upstream import Response, UpstreamError
from tests.unit.records import route
from tests.unit.streams import Pieces, events_of, exchange_of

ROUTE = route().model_copy(update={"input_tokens_most": 10_000, "output_tokens_most": 5 * 27})
COUNT = 3 * MOST_AT_ONCE
USAGE = {"prompt_tokens": 2, "completion_tokens": 3}


class FakeProvider:
    """Answers each prompt with itself; what it is asked with ``!`` it refuses, and with ``?`` it never answers."""

    def __init__(self) -> None:
        self.running = 0
        self.most = 0
        self.cut = False

    @asynccontextmanager
    async def __call__(self, call: Exchange) -> AsyncIterator[Response]:
        asked = orjson.loads(call.outgoing.content)
        prompt = asked["messages"][0]["content"]
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(0)
            if prompt == "!":
                raise UpstreamError(Refusal(status=400, message="no"))
            if prompt == "?":
                await asyncio.Event().wait()
            yield Response(200, {}, Pieces(self._answer(prompt, streamed=asked["stream"])))
        finally:
            self.running -= 1

    def _answer(self, prompt: str, *, streamed: bool) -> list[bytes]:
        choice: dict[str, Any] = {"index": 0, "finish_reason": None if self.cut else "stop"}
        if not streamed:
            message: dict[str, Any] = {"choices": [{**choice, "message": {"content": prompt}}], "usage": USAGE}
            return [orjson.dumps(message)]
        chunks: list[dict[str, Any]] = [
            {"choices": [{**choice, "delta": {"content": prompt}}]},
            {"choices": [], "usage": USAGE},
        ]
        events = b"".join(b"data: " + orjson.dumps({"id": "c", **chunk}) + b"\n\n" for chunk in chunks)
        return [events] if self.cut else [events, b"data: [DONE]\n\n"]


def _call(prompts: list[str], *, streamed: bool) -> Exchange:
    return exchange_of(Surface.COMPLETIONS, body={"prompt": prompts, "max_tokens": 5}, streamed=streamed)


@pytest.mark.parametrize("streamed", [False, True])
async def test_all_are_asked_a_few_at_a_time(streamed: bool) -> None:
    provider, begun = FakeProvider(), []
    call = _call([f"p{number}" for number in range(COUNT)], streamed=streamed)
    async with answering("p", call, provider) as answer:
        if streamed:
            text = "".join([call.stream.event(str(event)) async for event in answer.pieces()])
            found = {one["index"]: one["text"] for event in events_of(text) for one in event["choices"]}
            usage = call.stream.usage
        else:
            whole = call.whole(await answer.whole(lambda: begun.append(1)))
            found = {one["index"]: one["text"] for one in orjson.loads(whole.body(None))["choices"]}
            usage = whole.usage
            assert len(begun) == COUNT
    assert found == {number: f"p{number}" for number in range(COUNT)}
    assert usage == TokenUsage(input_tokens=2 * COUNT, output_tokens=3 * COUNT)
    assert (provider.most, provider.running) == (MOST_AT_ONCE, 0)


@pytest.mark.parametrize("streamed", [False, True])
async def test_one_failure_ends_all(streamed: bool) -> None:
    provider = FakeProvider()
    call = _call(["?"] * (MOST_AT_ONCE - 1) + ["a", "b", "!", "c"], streamed=streamed)
    with pytest.raises(UpstreamError):
        async with answering("p", call, provider) as answer:
            if streamed:
                async for _ in answer.pieces():
                    pass
            else:
                await answer.whole(lambda: None)
    assert provider.running == 0
    assert len(answer.parts) == MOST_AT_ONCE + 2


async def test_a_client_that_leaves_ends_all_and_pays_for_those_that_were_asked() -> None:
    provider = FakeProvider()
    call = _call(["a", "b", "c"] + ["?"] * COUNT, streamed=True)
    async with answering("p", call, provider) as answer:
        pieces = answer.pieces()
        for _ in range(9):
            # Text, counts and end of each of three.
            await anext(pieces)
        while len(answer.parts) < MOST_AT_ONCE + 3:
            await asyncio.sleep(0)
    assert provider.running == 0
    counting, used = Counting(ROUTE, Paces(), Tally()), TokenUsage(input_tokens=6, output_tokens=9)
    assert len(answer.parts) == MOST_AT_ONCE + 3
    for part in answer.parts:
        part.began_s -= 60
    tokens, source = counting.of_left(call, answer.parts, ROUTE.targets[0], None, 0.0)
    running = sum(len(part.exchange.outgoing.content) for part in answer.parts[3:])
    assert used.input_tokens < tokens.input_tokens <= used.input_tokens + running
    assert (tokens.output_tokens, source) == (used.output_tokens + 5 * MOST_AT_ONCE, "time")
    assert counting.of_left(call, answer.parts[:3], ROUTE.targets[0], None, 9.0) == (used, None)
    assert counting.of_refused(answer.parts, Refusal(status=400, message="")) == used
    for status in (429, 500, 503):
        assert counting.of_refused(answer.parts, Refusal(status=status, message="")) == TokenUsage()


async def test_a_stream_that_is_cut_is_an_error() -> None:
    provider = FakeProvider()
    provider.cut = True
    call = _call(["a", "b"], streamed=True)
    with pytest.raises(ProtocolError):
        async with answering("p", call, provider) as answer:
            async for _ in answer.pieces():
                pass
