"""``store: true``: a conversation goes on by the ID of its last response, at any provider; GET, DELETE by the SDK."""

from typing import Any

import httpx
import openai
import pytest

from tests.stacks import Gateway

MODELS = ("stub/echo", "claude/echo", "responses/echo")


def _client(gateway: Gateway, key: str | None = None) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=gateway.base_url, api_key=key or gateway.key, max_retries=0)


async def _sent(gateway: Gateway) -> Any:
    return (await gateway.http.get(f"{gateway.stack.stub_url}/stub/last")).json()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_conversation_goes_on_by_the_id_of_its_last_response(
    gateway: Gateway, model: str, streamed: bool
) -> None:
    async with _client(gateway) as client:

        async def ask(text: str, previous: str | None) -> Any:
            asked: Any = {"model": model, "input": text, "store": True}
            if previous:
                asked["previous_response_id"] = previous
            if not streamed:
                return await client.responses.create(**asked)
            events = [event async for event in await client.responses.create(stream=True, **asked)]
            assert events[0].response.id == events[-1].response.id
            return events[-1].response

        first = await ask("my name is Ada", None)
        second = await ask("what is my name?", first.id)
        assert first.id.startswith("resp_sluice_")
        assert first.id != second.id
        sent = await _sent(gateway)
        texts = str(sent.get("messages") or sent.get("input"))
        assert "my name is Ada" in texts
        assert first.output_text in texts
        assert texts.index("my name is Ada") < texts.index("what is my name?")
        assert sent.get("previous_response_id") is None
        assert sent.get("store") is not True
        shown = await client.responses.retrieve(second.id)
        assert (shown.id, shown.output_text) == (second.id, second.output_text)
        items = [item async for item in client.responses.input_items.list(second.id, order="asc", limit=2)]
        assert "my name is Ada" in str(items[0])
        assert "what is my name?" in str(items[-1])
        assert len(items) >= 3
        # To another model, of another protocol.
        other = await client.responses.create(model="gemini/echo", input="and mine?", previous_response_id=second.id)
        assert "my name is Ada" in str(await _sent(gateway))
        assert not other.id.startswith("resp_sluice_")


async def test_what_is_deleted_or_another_s_is_not_found(gateway: Gateway) -> None:
    account = await gateway.manage("POST", "/api/accounts", {"email": "other@example.com"})
    key = (await gateway.manage("POST", f"/api/accounts/{account['id']}/keys", {}))["key"]
    async with _client(gateway) as client, _client(gateway, key) as stranger:
        stored = await client.responses.create(model="stub/echo", input="hello", store=True)
        for wrong in (stored.id, "resp_123"):
            with pytest.raises(openai.NotFoundError):
                await stranger.responses.retrieve(wrong)
            with pytest.raises(openai.NotFoundError):
                await stranger.responses.delete(wrong)
        with pytest.raises(openai.BadRequestError, match="not found"):
            await stranger.responses.create(model="stub/echo", input="x", previous_response_id=stored.id)
        assert (await client.responses.retrieve(stored.id)).id == stored.id
        await client.responses.delete(stored.id)
        for ask in (client.responses.retrieve, client.responses.delete):
            with pytest.raises(openai.NotFoundError):
                await ask(stored.id)
        unstored = await client.responses.create(model="stub/echo", input="hello")
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(unstored.id)
    async with httpx.AsyncClient() as anonymous:
        assert (await anonymous.get(f"{gateway.base_url}/responses/{stored.id}")).status_code == 401
