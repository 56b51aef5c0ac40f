"""``python -m libs.devstack.setup``: makes topics, database roles and schemas exist; run once before the services.

Environment: ``SLUICE_KAFKA_*`` as for every service, ``SLUICE_ADMIN_DATABASE_URL``, and each service's password in
``SLUICE_PASSWORD_<SERVICE>`` (``CONSOLE``, ``KEY_VAULT``, ``METERING``).
"""

import asyncio
import os
import sys

from aiokafka.errors import KafkaError

from libs.bus.settings import BusSettings
from libs.bus.topics import TopicShapeError, create_topics
from libs.devstack.errors import StackError
from libs.devstack.postgres import SCHEMAS, provision

BROKER_WITHIN_S = 120


async def main() -> None:
    """Creates what is missing; leaves what is there, but for the roles' passwords.

    Raises:
        StackError: a variable is missing, or the broker or the database is not there in time.
    """
    passwords = {service: _variable(f"SLUICE_PASSWORD_{service.upper().replace('-', '_')}") for service in SCHEMAS}
    await provision(_variable("SLUICE_ADMIN_DATABASE_URL"), passwords)
    deadline = asyncio.get_running_loop().time() + BROKER_WITHIN_S
    while True:
        try:
            await create_topics(BusSettings())
            return
        except TopicShapeError as error:
            raise StackError(str(error)) from None
        except KafkaError as error:
            if asyncio.get_running_loop().time() > deadline:
                raise StackError(f"the broker is not there: {type(error).__name__}") from None
            await asyncio.sleep(1)


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise StackError(f"set the environment variable {name}")
    return value


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except StackError as error:
        sys.exit(f"setup: {error}")
