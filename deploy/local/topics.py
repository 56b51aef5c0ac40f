"""The topics of a broker that has just been started."""

import asyncio

from aiokafka.errors import KafkaError

from deploy.local.errors import StackError
from libs.bus.settings import BusSettings
from libs.bus.topics import TopicShapeError, create_topics

RETRY_S = 0.5


async def set_up_topics(settings: BusSettings, *, within_s: float, broker: str) -> None:
    """Creates what is missing as soon as the broker does it.

    Args:
        broker: as messages call it.

    Raises:
        StackError: it did not do it in time, or has a topic of another shape.
    """
    last = "it does not answer"
    try:
        async with asyncio.timeout(within_s):
            while True:
                try:
                    return await create_topics(settings)
                except KafkaError as error:
                    last = repr(error)
                await asyncio.sleep(RETRY_S)
    except TopicShapeError as error:
        raise StackError(f"{broker} cannot be used: {error}") from None
    except TimeoutError:
        raise StackError(f"{broker} has not the topics after {within_s:.0f} s: {last}") from None
