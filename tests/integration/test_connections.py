"""Connections to a real broker that end while we write."""

import asyncio
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop
from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.protocol.admin import SaslHandShakeRequest
from aiokafka.protocol.metadata import MetadataRequest

from deploy.local.certificates import write
from deploy.local.ports import LOOPBACK
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
def test_our_own_sleep_is_not_the_broker_s_silence(
    bus: BusSettings, run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has answered meanwhile: a process that had no CPU, or was stopped, hears it late."""
    for name in ("ELSEWHERE_WITHIN_S", "ANSWER_WITHIN_S"):
        monkeypatch.setattr(connections, name, 0.3)

    async def sleep_between() -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(time.sleep, 1)
        connection = await create_conn(*bus.bootstrap.split(":"))
        loop.call_soon(time.sleep, 1)
        assert await connection.send(MetadataRequest([]))
        connection.close()

    run(sleep_between())


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


@pytest.mark.parametrize("run", [uvloop.run, asyncio.run])
def test_nobody_waits_for_the_goodbye_of_a_broker_that_holds_a_fetch(
    bus: BusSettings, run: Callable[..., None], tmp_path: Path
) -> None:
    """It reads nothing before it has answered: the end of the TLS connection neither."""
    write(tmp_path / "tls", (LOOPBACK,))
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_side.load_cert_chain(tmp_path / "tls" / "broker.pem", tmp_path / "tls" / "broker.key")

    async def close_while_it_holds() -> None:
        left = asyncio.Event()

        async def through(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            """Lets the first answer pass, and reads nothing more before the client has gone."""
            far_reader, far_writer = await asyncio.open_connection(*bus.bootstrap.split(":"))
            far_writer.write(await reader.read(1_000))
            writer.write(await far_reader.read(10_000))
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            await left.wait()
            for one in (far_writer, writer):
                one.transport.abort()

        async with await asyncio.start_server(through, LOOPBACK, 0, ssl=server_side) as server:
            host, port = server.sockets[0].getsockname()
            client_side = ssl.create_default_context(cafile=tmp_path / "tls" / "ca.pem")
            connection = await create_conn(host, port, security_protocol="SSL", ssl_context=client_side)
            held = asyncio.ensure_future(connection.send(MetadataRequest([])))
            await asyncio.sleep(0)
            closed, _ = await asyncio.wait({connection.close()}, timeout=20)
            left.set()
            assert closed, "it waits for the broker's goodbye"
            with pytest.raises(KafkaConnectionError):
                await held

    run(close_while_it_holds())


@pytest.mark.parametrize("run", [uvloop.run, asyncio.run])
@pytest.mark.parametrize("answer", [b"\xff\xff\xff\xff", b"\0\0\0\x08" + b"\0" * 8, b""])
def test_an_answer_that_is_none_ends_the_connection_for_all_who_wait(
    bus: BusSettings, run: Callable[..., None], answer: bytes
) -> None:
    async def ask_who_answers_so() -> None:
        async def through(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            """Lets the first answer pass: that of the connection's own question."""
            far_reader, far_writer = await asyncio.open_connection(*bus.bootstrap.split(":"))
            far_writer.write(await reader.read(1_000))
            writer.write(await far_reader.read(10_000))
            await reader.read(1_000)
            writer.write(answer)
            for one in (far_writer, writer):
                one.close()

        async with await asyncio.start_server(through, "127.0.0.1", 0) as server:
            connection = await create_conn(*server.sockets[0].getsockname())
            asked = [asyncio.ensure_future(connection.send(MetadataRequest([]))) for _ in range(2)]
            await asyncio.wait(asked)
            assert all(isinstance(one.exception(), KafkaError) for one in asked)
            assert not connection.connected()

    run(ask_who_answers_so())
