"""Who is in a consumer group: the broker's own knowledge of which processes are alive."""

from typing import Any

from aiokafka.admin import AIOKafkaAdminClient

from libs.bus.settings import BusSettings


async def group_members(settings: BusSettings, group: str) -> list[str]:
    """The member IDs of a group; each begins with the name that `Consumer` was given as ``member``.

    A member that died is among them until its session has timed out.

    Raises:
        KafkaError: the broker is away.
    """
    return [member[0] for member in (await _described(settings, group))[5]]


async def is_stable(settings: BusSettings, group: str) -> bool:
    """Nobody is joining or has just left. Raises KafkaError: the broker is away."""
    return bool((await _described(settings, group))[2] == "Stable")


async def _described(settings: BusSettings, group: str) -> Any:
    admin = AIOKafkaAdminClient(**settings.connection())
    await admin.start()
    try:
        (answer,) = await admin.describe_consumer_groups([group])
        (described,) = answer.groups
        return described
    finally:
        await admin.close()
