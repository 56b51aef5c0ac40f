"""``python -m deploy.local.setup``: makes topics, database roles and schemas exist; run once before the services.

Environment: ``SLUICE_KAFKA_*`` as for every service, ``SLUICE_ADMIN_DATABASE_URL``, and each service's password in
``SLUICE_PASSWORD_<SERVICE>`` (``CONSOLE``, ``KEY_VAULT``, ``METERING``; ``GRAFANA`` for a role that reads usage). Each
may come as a file: see `libs.runtime.secret_files`.
"""

import asyncio
import os
import sys

from deploy.local.errors import StackError
from deploy.local.postgres import GUEST, SCHEMAS, provision
from deploy.local.topics import set_up_topics
from libs.bus.settings import BusSettings
from libs.runtime.secret_files import SecretFileError, read_secret_files

BROKER_WITHIN_S = 120


async def main() -> None:
    """Creates what is missing; leaves what is there, but for the roles' passwords.

    Raises:
        StackError: a variable is missing, or the broker or the database is not there in time.
    """
    read_secret_files(os.environ)
    passwords = {service: _variable(f"SLUICE_PASSWORD_{service.upper().replace('-', '_')}") for service in SCHEMAS}
    if guest := os.environ.get(f"SLUICE_PASSWORD_{GUEST.upper()}"):
        passwords[GUEST] = guest
    await provision(_variable("SLUICE_ADMIN_DATABASE_URL"), passwords)
    await set_up_topics(BusSettings(), within_s=BROKER_WITHIN_S, broker="the broker")


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise StackError(f"set the environment variable {name}")
    return value


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except (StackError, SecretFileError) as error:
        sys.exit(f"setup: {error}")
