"""Producers for tests: of numbered requests, and of bytes that are no record."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer

from contracts import topics
from contracts.services import ServiceSpec
from libs.bus.placing import partition_of
from libs.bus.producer import Producer, settle
from libs.bus.settings import BusSettings
from libs.bus.signing import Signer, Trust
from tests.unit.records import accepted

TESTS = ServiceSpec("tests", writes=topics.TOPICS)
SIGNER = Signer(secrets.token_bytes(32))
TRUST = Trust({service: [SIGNER.public_key] for service in ("console", "key-vault", "relay")})
"""The tests sign for everybody."""


@asynccontextmanager
async def running_producer(bus: BusSettings) -> AsyncIterator[Producer]:
    """A producer that may write everything."""
    producer = Producer(bus, TESTS, SIGNER)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


@asynccontextmanager
async def raw_producer(bus: BusSettings) -> AsyncIterator[AIOKafkaProducer]:
    """A producer of bytes."""
    producer = AIOKafkaProducer(**bus.connection())
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


def key_in(partition: int, bus: BusSettings, prefix: str) -> str:
    """A key with this prefix that lies in a partition of the keyed topics."""
    names = (f"{prefix}-{number}" for number in range(1_000))
    return next(name for name in names if partition_of(bus, topics.REQUESTS, name) == partition)


async def publish(producer: Producer, run: str, count: int, *, first: int = 0, subject: str | None = None) -> None:
    """Publishes ``count`` numbered requests, of seven subjects or of one, and waits until the broker has them."""
    records = [
        accepted(number, subject=subject or f"acct:{run}-{number % 7}", model=f"{run}/{number}")
        for number in range(first, first + count)
    ]
    await settle([await producer.publish(topics.REQUESTS, record) for record in records])
