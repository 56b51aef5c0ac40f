"""Who is in a consumer group: the broker's own knowledge of which processes are alive."""

from aiokafka.admin import AIOKafkaAdminClient

from libs.bus.settings import BusSettings


async def group_members(settings: BusSettings, group: str) -> list[str]:
    """The member IDs of a group; each begins with the name that `Consumer` was given as ``member``.

    A member that died is among them until its session has timed out.

    Raises:
        KafkaError: the broker is away.
    """
    admin = AIOKafkaAdminClient(**settings.connection())
    await admin.start()
    try:
        (answer,) = await admin.describe_consumer_groups([group])
    finally:
        await admin.close()
    (described,) = answer.groups
    return [member[0] for member in described[5]]
