"""Files and batches with OpenAI's own SDK: each line is run once and charged once, and only its owner reads it."""

import asyncio
import json
import os
import sys
from typing import Any, Literal

import openai
import pytest

from deploy.local.home import ROOT
from tests.e2e.plane import Plane
from tests.stacks import Gateway, NotYet, until


def _client(gateway: Gateway, key: str | None = None) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=gateway.base_url, api_key=key or gateway.key, max_retries=0)


def _line(name: str, text: str, **more: Any) -> dict[str, Any]:
    body = {"model": "stub/echo", "messages": [{"role": "user", "content": text}], **more}
    return {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body}


def _jsonl(*lines: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


async def _made(client: openai.AsyncOpenAI, content: bytes, **more: Any) -> Any:
    file = await client.files.create(file=("requests.jsonl", content), purpose="batch")
    return await client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", **more
    )


async def _ended(client: openai.AsyncOpenAI, batch_id: str, within_s: float = 90) -> Any:
    async def ended() -> Any:
        batch = await client.batches.retrieve(batch_id)
        over = batch.status in ("completed", "failed", "expired", "cancelled")
        return batch if over else NotYet(batch.status)

    return await until(ended, what=f"an end of the batch {batch_id}", within_s=within_s)


async def _lines(client: openai.AsyncOpenAI, file_id: str | None) -> dict[str, Any]:
    if file_id is None:
        return {}
    text = (await client.files.content(file_id)).text
    return {line["custom_id"]: line for line in map(json.loads, text.splitlines())}


async def test_each_line_of_a_batch_is_answered_or_refused_and_charged(gateway: Gateway) -> None:
    async with _client(gateway) as client:
        content = _jsonl(_line("one", "hello"), _line("two", "world"), _line("bad", "x", model="no/such"))
        batch = await _made(client, content, metadata={"night": "1"})
        assert batch.status in ("validating", "in_progress")
        batch = await _ended(client, batch.id)
        assert (batch.status, batch.metadata) == ("completed", {"night": "1"})
        counts = batch.request_counts
        assert (counts.total, counts.completed, counts.failed) == (3, 2, 1)
        answers, errors = await _lines(client, batch.output_file_id), await _lines(client, batch.error_file_id)
        assert set(answers) == {"one", "two"}
        assert answers["one"]["response"]["body"]["choices"][0]["message"]["content"]
        assert errors["bad"]["response"]["status_code"] == 400
        for answer in answers.values():
            entry = await gateway.entry(answer["response"]["request_id"])
            assert entry["outcome"] == "completed"
            assert entry["cost_microdollars"] > 0
        # What was uploaded is there as it was, too.
        assert (await client.files.content(batch.input_file_id)).content == content
        assert (await client.files.retrieve(batch.output_file_id)).purpose == "batch_output"
        files = {file.id async for file in client.files.list()}
        assert {batch.input_file_id, batch.output_file_id, batch.error_file_id} <= files
        assert batch.id in {one.id async for one in client.batches.list(limit=1)}
        assert (await client.files.delete(batch.output_file_id)).deleted
        with pytest.raises(openai.NotFoundError):
            await client.files.content(batch.output_file_id)


async def test_lines_cost_what_the_provider_asks_when_it_has_room(gateway: Gateway) -> None:
    """A line waits for room, and is not asked of a provider that is dearer; what ran at once after all costs all."""
    name = f"once-{os.getpid()}"
    lines = {
        "half": _line("half", "hello", model="stub/flex"),
        "no room at first": _line("no room at first", f"[[stub flaky={name}]] hello", model="pair/flex"),
        "whole": _line("whole", "[[stub tier=default]]", model="stub/flex"),
    }
    async with _client(gateway) as client:
        batch = await _ended(client, (await _made(client, _jsonl(*lines.values()))).id)
        answers = await _lines(client, batch.output_file_id)
        assert set(answers) == set(lines), await _lines(client, batch.error_file_id)
        for custom_id, answer in answers.items():
            body = answer["response"]["body"]
            entry = await gateway.entry(answer["response"]["request_id"])
            percent = 100 if custom_id == "whole" else 50
            used = body["usage"]
            due = (used["prompt_tokens"] * 2 + used["completion_tokens"] * 8) * percent
            assert entry["cost_microdollars"] == (due + 50) // 100
            assert (entry["service_tier"], entry["provider_id"]) == ("flex" if percent == 50 else None, "stub")
            assert entry["price_version"].endswith("/flex50") == (percent == 50)
            shown = await gateway.http.get(
                f"{gateway.base_url}/requests/{answer['response']['request_id']}",
                headers={"Authorization": f"Bearer {gateway.key}"},
            )
            assert shown.json()["service_tier"] == entry["service_tier"]
            assert shown.json()["cost_microdollars"] == entry["cost_microdollars"]
        # What a client waits for is neither slow nor cheap, unless it asks.
        tiers: list[tuple[Literal["auto", "flex"], str | None]] = [("auto", None), ("flex", "flex")]
        for asked, tier in tiers:
            raw = await client.chat.completions.with_raw_response.create(
                model="stub/flex", messages=[{"role": "user", "content": "hi"}], service_tier=asked
            )
            entry = await gateway.entry(raw.headers["x-request-id"])
            assert entry["service_tier"] == tier


async def test_the_example_runs(gateway: Gateway) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "docs/examples/batch.py"),
        env=os.environ | {"SLUICE_BASE_URL": gateway.base_url, "SLUICE_API_KEY": gateway.key},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert [line.split()[0] for line in out.decode().splitlines()] == ["sluice", "lock"]


async def test_lines_that_are_none_fail_the_batch_and_cost_nothing(gateway: Gateway) -> None:
    async with _client(gateway) as client:
        before = await gateway.stub_stats()
        content = _jsonl(_line("one", "x"), _line("one", "y"), _line("two", "z", stream=True)) + b"no json\n"
        batch = await _ended(client, (await _made(client, content)).id)
        assert batch.status == "failed"
        assert [(one.line, one.code) for one in batch.errors.data] == [
            (2, "duplicate_custom_id"),
            (3, "invalid_body"),
            (4, "invalid_json_line"),
        ]
        assert (batch.output_file_id, batch.error_file_id, batch.request_counts.completed) == (None, None, 0)
        assert await gateway.stub_stats() == before


async def test_cancelled_it_begins_no_further_line_and_keeps_what_is_there(gateway: Gateway) -> None:
    async with _client(gateway) as client:
        lines = [_line(f"n{number}", "[[stub chunks=10 gap_ms=50]]") for number in range(300)]
        made = await _made(client, _jsonl(*lines))
        before = (await gateway.stub_stats())["requests"]

        async def runs() -> bool | None:
            return (await gateway.stub_stats())["requests"] > before or None

        await until(runs, what="a line that runs")
        assert (await client.batches.cancel(made.id)).status in ("cancelling", "cancelled")
        batch = await _ended(client, made.id)
        assert batch.status == "cancelled"
        assert 0 < batch.request_counts.completed < 300
        assert len(await _lines(client, batch.output_file_id)) == batch.request_counts.completed
        with pytest.raises(openai.BadRequestError):
            await client.batches.cancel(made.id)


async def test_others_find_neither_file_nor_batch(gateway: Gateway) -> None:
    plane = Plane(gateway, 1)
    mine, other = await plane.person(), await plane.person()
    async with _client(plane.gateway, mine.key) as client, _client(plane.gateway, other.key) as foreign:
        batch = await _ended(client, (await _made(client, _jsonl(_line("one", "secret")))).id)
        for ask in (
            foreign.batches.retrieve(batch.id),
            foreign.batches.cancel(batch.id),
            foreign.files.retrieve(batch.input_file_id),
            foreign.files.content(batch.output_file_id),
            foreign.files.delete(batch.input_file_id),
            foreign.batches.create(
                input_file_id=batch.input_file_id, endpoint="/v1/chat/completions", completion_window="24h"
            ),
        ):
            with pytest.raises(openai.NotFoundError):
                await ask
        assert [one async for one in foreign.files.list()] == []
        assert [one async for one in foreign.batches.list()] == []
        assert [one.id async for one in client.batches.list()] == [batch.id]
        assert (await client.files.content(batch.output_file_id)).text.count("\n") == 1


async def test_limits_refuse(gateway: Gateway) -> None:
    async with _client(gateway) as client:
        small = ("f.jsonl", _jsonl(_line("one", "x")))
        with pytest.raises(openai.APIStatusError) as found:
            await client.files.create(file=("f.jsonl", b"x\n" * 200_000), purpose="batch")
        assert found.value.status_code == 413
        for wrong in (
            client.files.create(file=small, purpose="fine-tune"),
            client.files.create(file=("f.jsonl", b"\n \n"), purpose="batch"),
            client.batches.create(input_file_id="x", endpoint="/v1/videos", completion_window="24h"),
        ):
            with pytest.raises(openai.BadRequestError):
                await wrong
        nobody = _client(gateway, "anonymous")
        with pytest.raises(openai.AuthenticationError):
            await nobody.files.create(file=small, purpose="batch")
        slow = _jsonl(_line("one", "[[stub chunks=100 gap_ms=50]]"))
        made = [await _made(client, slow) for _ in range(3)]
        with pytest.raises(openai.RateLimitError):
            await _made(client, slow)
        for one in made:
            await client.batches.cancel(one.id)
        for one in made:
            await _ended(client, one.id)


async def test_a_revoked_key_ends_its_batch(gateway: Gateway) -> None:
    plane = Plane(gateway, 1)
    person = await plane.person()
    async with _client(plane.gateway, person.key) as client:
        lines = [_line(f"n{number}", "[[stub chunks=10 gap_ms=50]]") for number in range(300)]
        made = await _made(client, _jsonl(*lines))
        other = await plane.key(person.account_id)
        await plane.call("DELETE", f"/api/keys/{person.key_id}", key=other.key)
    async with _client(plane.gateway, other.key) as client:
        batch = await _ended(client, made.id)
        assert (batch.status, batch.errors.data[0].code) == ("failed", "key_not_valid")
        assert batch.request_counts.completed < 300
