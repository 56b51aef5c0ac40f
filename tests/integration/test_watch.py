"""Whether there is a log: it lies on several brokers, and one of them may be away."""

import asyncio
import gc
import socket

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import NodeNotReadyError

from deploy.local.ports import LOOPBACK
from libs.bus.settings import BusSettings
from libs.bus.watch import BrokerWatch


async def test_who_is_silent_keeps_nobody_from_asking_the_others(bus: BusSettings) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        writer.close()

    async with await asyncio.start_server(silent, LOOPBACK, 0) as server:
        port = server.sockets[0].getsockname()[1]
        # In an order of chance aiokafka alone would find the other at once nearly never.
        brokers = [f"{LOOPBACK}:{port}"] * 9 + [bus.bootstrap]
        watch = BrokerWatch(bus.model_copy(update={"bootstrap": ",".join(brokers)}))
        await watch._ask()
        assert watch.up
        await watch.stop()


async def test_where_nobody_answers_there_is_no_log() -> None:
    with socket.socket() as nobody:
        nobody.bind((LOOPBACK, 0))
        port = nobody.getsockname()[1]
        watch = BrokerWatch(BusSettings(bootstrap=f"{LOOPBACK}:{port},{LOOPBACK}:{port}"))
        await watch._ask()
        assert not watch.up
        await watch.stop()


async def test_who_can_ask_another_broker_has_a_log(bus: BusSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any may be asked, and the one that died is known for seconds."""

    async def of_the_dead(_admin: AIOKafkaAdminClient) -> None:
        raise NodeNotReadyError

    monkeypatch.setattr(AIOKafkaAdminClient, "describe_cluster", of_the_dead)
    monkeypatch.setattr(ClusterMetadata, "brokers", lambda _cluster: {"one", "two"})
    watch = BrokerWatch(bus)
    for _ in range(4):
        await watch._ask()
        assert watch.up
    await watch.stop()


async def test_who_answers_later_leaves_no_connection_open(bus: BusSettings) -> None:
    def connections() -> set[int]:
        found = [one for one in gc.get_objects() if isinstance(one, AIOKafkaConnection)]
        return {id(one) for one in found if one.connected()}

    before = connections()
    watch = BrokerWatch(bus.model_copy(update={"bootstrap": ",".join([bus.bootstrap] * 9)}))
    await watch._ask()
    assert watch.up
    await watch._starting.wait()
    assert connections() == before
    await watch.stop()
