"""Connections to a real broker that end while we write."""

import asyncio
import ssl
from collections.abc import Callable

import pytest
import uvloop
from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.admin import SaslHandShakeRequest
from aiokafka.protocol.metadata import MetadataRequest

from libs.bus import connections
from libs.bus.settings import BusSettings


@pytest.mark.parametrize("run", [uvloop.run, asyncio.run])
def test_a_connection_that_has_ended_is_a_broken_one(bus: BusSettings, run: Callable[..., None]) -> None:
    async def end_and_write() -> None:
        host, port = bus.bootstrap.split(":")
        connection = await create_conn(host, int(port))
        assert await connection.send(MetadataRequest([]))
        connection._writer.transport.abort()
        # One step, in which the transport ends; whoever reads from it hears of that in the next.
        await asyncio.sleep(0)
        with pytest.raises(KafkaConnectionError):
            await connection.send(MetadataRequest([]))
        assert not connection.connected()

    run(end_and_write())


@pytest.mark.parametrize("run", [uvloop.run, asyncio.run])
def test_a_broker_that_is_silent_is_given_up_in_time(
    bus: BusSettings, run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "ELSEWHERE_WITHIN_S", 0.05)

    async def ask_who_is_silent() -> None:
        async def through(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            """Lets the first answer pass: that of the connection's own question."""
            far_reader, far_writer = await asyncio.open_connection(*bus.bootstrap.split(":"))
            far_writer.write(await reader.read(1_000))
            writer.write(await far_reader.read(10_000))
            await reader.read()
            for one in (far_writer, writer):
                one.close()

        async with await asyncio.start_server(through, "127.0.0.1", 0) as server:
            connection = await create_conn(*server.sockets[0].getsockname())
            with pytest.raises(TimeoutError):
                await connection.send(MetadataRequest([]))
            assert not connection.connected()

    run(ask_who_is_silent())


@pytest.mark.parametrize("run", [uvloop.run, asyncio.run])
def test_a_question_behind_another_has_the_time_of_both(
    bus: BusSettings, run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "ELSEWHERE_WITHIN_S", 0.0)

    async def ask_behind_a_fetch() -> None:
        monkeypatch.setattr(AIOKafkaConnection, "connect", connections._connect)
        connection = await create_conn(*bus.bootstrap.split(":"))
        held = asyncio.ensure_future(connection.send(SaslHandShakeRequest("PLAIN")))
        behind = asyncio.ensure_future(connection.send(MetadataRequest([])))
        assert await behind
        await asyncio.wait([held])
        connection.close()

    run(ask_behind_a_fetch())


@pytest.mark.parametrize("run", [uvloop.run, asyncio.run])
def test_nobody_waits_for_the_tls_of_a_broker_that_stands_still(
    run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "ELSEWHERE_WITHIN_S", 0.05)

    async def connect_to_who_is_silent() -> None:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(-1)
            writer.close()

        async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
            host, port = server.sockets[0].getsockname()
            async with asyncio.timeout(20):
                with pytest.raises(TimeoutError):
                    await create_conn(host, port, security_protocol="SSL", ssl_context=ssl.create_default_context())

    run(connect_to_who_is_silent())
