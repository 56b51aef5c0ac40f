"""What several files here are given."""

import secrets
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from libs.bus.producer import Producer
from libs.bus.settings import BusSettings
from tests.integration.publishing import running_producer


@pytest_asyncio.fixture(loop_scope="session")
async def producer(bus: BusSettings) -> AsyncIterator[Producer]:
    async with running_producer(bus) as started:
        yield started


@pytest.fixture
def run() -> str:
    """A name of this test's records and groups: the broker is shared."""
    return secrets.token_hex(6)
