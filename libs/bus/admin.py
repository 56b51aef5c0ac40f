"""What the cluster knows of itself: its ID, and who is in a consumer group."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient

from libs.bus.settings import BusSettings


async def cluster_id(settings: BusSettings) -> str:
    """The ID that the cluster's storage was formatted with.

    Raises:
        KafkaError: the broker is away.
    """
    async with _client(settings) as client:
        found: str = (await client.describe_cluster())["cluster_id"]
        return found


async def group_members(settings: BusSettings, group: str) -> list[str]:
    """The member IDs of a group; each begins with the ``client_id`` that `GroupMember` was given.

    A member that died is among them until its session has timed out.

    Raises:
        KafkaError: the broker is away.
    """
    async with _client(settings) as client:
        (answer,) = await client.describe_consumer_groups([group])
        (described,) = answer.groups
        return [member[0] for member in described[5]]


@asynccontextmanager
async def _client(settings: BusSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(**settings.connection())
    await client.start()
    try:
        yield client
    finally:
        await client.close()
