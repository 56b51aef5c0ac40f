"""``python -m deploy.local.setup``: makes topics, database roles and schemas exist; run once before the services.

Environment: ``SLUICE_KAFKA_*`` as for every service, ``SLUICE_ADMIN_DATABASE_URL``, and each service's password in
``SLUICE_PASSWORD_<SERVICE>`` (``CONSOLE``, ``KEY_VAULT``, ``METERING``; ``GRAFANA`` for a role that reads usage). Each
may come as a file: see `libs.runtime.secret_files`. Where the broker asks who one is, by
``SLUICE_KAFKA_SECURITY_PROTOCOL``: an administrator's credentials, and users' passwords in
``SLUICE_KAFKA_PASSWORD_<SERVICE>``.
"""

import asyncio
import os
import sys

from contracts.services import ServiceSpec
from deploy.local.errors import StackError
from deploy.local.postgres import GUEST, SCHEMAS, provision
from deploy.local.topics import set_up_topics
from libs.bus.access import EVERYBODY, entries, user_of
from libs.bus.administration import apply
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
    bus = BusSettings()
    await set_up_topics(bus, within_s=BROKER_WITHIN_S, broker="the broker")
    if bus.security_protocol != "PLAINTEXT":
        users = {user_of(spec): _variable(password_variable(spec)) for spec in EVERYBODY}
        await apply(bus, entries(), users)


def password_variable(spec: ServiceSpec) -> str:
    """Of a user's password on the broker."""
    return f"SLUICE_KAFKA_PASSWORD_{spec.name.upper().replace('-', '_')}"


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
