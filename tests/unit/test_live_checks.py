"""Checks of keys against a provider that hangs: they end, and hold up nobody else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import TopicPartition

from contracts import topics
from contracts.vault import CredentialTestOrdered, RewrapOrdered
from deploy.local.ports import LOOPBACK
from libs.bus.processor import Work
from libs.bus.records import Received
from libs.config.providers import Provider
from libs.provider_keys import live_check
from libs.provider_keys.live_check import MOST_OF_OWNER, LiveChecks, NoAnswerError
from libs.sealing.secret import Secret
from services.key_vault.commands import CommandProcessor
from tests.unit.records import NOW_MS, echo_versions

KEY = Secret("sk-test")


@asynccontextmanager
async def _provider(answer: bytes = b"") -> AsyncIterator[tuple[Provider, asyncio.Queue[None]]]:
    """One that gives this answer, or never one; and a queue of the calls that it got."""
    calls = asyncio.Queue[None]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        calls.put_nowait(None)
        writer.write(answer or b"HTTP/1.1 200 OK\r\n")
        if answer:
            writer.close()
        else:
            await reader.read()

    server = await asyncio.start_server(serve, LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]
    yield Provider(base_url=f"http://{LOOPBACK}:{port}"), calls
    server.close()


async def test_an_owner_has_few_checks_at_a_time_and_others_have_theirs() -> None:
    checks = LiveChecks()
    async with (
        _provider() as (hanging, calls),
        _provider(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}") as (well, _),
    ):
        running = [asyncio.create_task(checks.refusal_of("a", "p", hanging, KEY)) for _ in range(MOST_OF_OWNER)]
        for _ in running:
            await calls.get()
        with pytest.raises(NoAnswerError, match="too many"):
            await checks.refusal_of("a", "p", hanging, KEY)
        assert await checks.refusal_of("b", "q", well, KEY) is None
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        assert await checks.refusal_of("a", "q", well, KEY) is None


async def test_a_provider_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_check, "WITHIN_S", 0.05)
    async with _provider() as (hanging, _calls):
        with pytest.raises(NoAnswerError, match="does not answer"):
            await LiveChecks().refusal_of("a", "p", hanging, KEY)


async def test_a_refusal_is_told_and_read_only_so_far() -> None:
    refusal = b'HTTP/1.1 401 no\r\ncontent-type: application/json\r\n\r\n{"error": {"message": "' + b"x" * 10_000_000
    async with _provider(refusal) as (provider, _):
        assert await LiveChecks().refusal_of("a", "p", provider, KEY)


async def test_a_test_that_hangs_does_not_hold_up_the_vault_s_orders() -> None:
    """Eight checks against a provider that hangs delayed the storing of another's key by 40 s."""
    began, ends = asyncio.Event(), asyncio.Event()
    rewrapped: list[int] = []

    class Hanging:
        """`Credentials` whose provider does not answer."""

        async def refusal(self, credential_id: str, providers: object) -> tuple[bool, str | None]:
            began.set()
            await ends.wait()
            return False, None

        async def rewrap(self) -> None:
            rewrapped.append(1)

    order = CredentialTestOrdered(credential_id="acct:a/p", ordered_at_ms=NOW_MS)
    received = Received(order, topics.VAULT_COMMANDS, 0, 0, NOW_MS, "")
    rewrap = Received(RewrapOrdered(ordered_by="o", ordered_at_ms=NOW_MS), topics.VAULT_COMMANDS, 0, 1, NOW_MS, "")
    partition = TopicPartition(topics.VAULT_COMMANDS.name, 0)
    work = Work(None, {partition: 0})  # type: ignore[arg-type]
    vault = CommandProcessor(work, Hanging(), echo_versions(), on_change=lambda: None)  # type: ignore[arg-type]
    await vault.process([received, rewrap])
    work.passed([(partition, 0), (partition, 1)])
    await began.wait()
    assert (rewrapped, work.committable()) == ([1], {partition: 0})
    ends.set()
    await vault.drain()
    assert work.committable() == {partition: 2}
