"""Connections to a real broker that end while we write."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

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
