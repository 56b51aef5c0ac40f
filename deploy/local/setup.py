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
from collections.abc import Collection, Mapping

from contracts.services import ServiceSpec
from deploy.local.errors import StackError
from deploy.local.postgres import GUEST, SCHEMAS, provision
from deploy.local.topics import set_up_topics
from libs.bus.access import EVERYBODY, entries, user_of
from libs.bus.administration import apply
from libs.bus.settings import BusSettings
from libs.runtime.secret_files import SecretFileError, read_secret_files

BROKER_WITHIN_S = 120
DATABASE_ONLY = "--database-only"


async def main(arguments: Collection[str] = ()) -> None:
    """Creates what is missing; leaves what is there, but for the passwords.

    Args:
        arguments: of the command line: ``--database-only`` where others look after topics and users (Strimzi).

    Raises:
        StackError: a variable is missing, or the broker or the database is not there in time.
    """
    read_secret_files(os.environ)
    passwords = {service: _variable(f"SLUICE_PASSWORD_{service.upper().replace('-', '_')}") for service in SCHEMAS}
    if guest := os.environ.get(f"SLUICE_PASSWORD_{GUEST.upper()}"):
        passwords[GUEST] = guest
    await provision(_variable("SLUICE_ADMIN_DATABASE_URL"), passwords)
    if DATABASE_ONLY not in arguments:
        await kafka(BusSettings(), os.environ)


async def kafka(bus: BusSettings, environment: Mapping[str, str]) -> None:
    """Topics; where the broker asks who one is, also users and their access.

    Raises:
        StackError: a variable is missing, or the broker is not there in time.
    """
    await set_up_topics(bus, within_s=BROKER_WITHIN_S, broker="the broker")
    if bus.security_protocol != "PLAINTEXT":
        users = {user_of(spec): _variable(password_variable(spec), environment) for spec in EVERYBODY}
        await apply(bus, entries(), users)


def password_variable(spec: ServiceSpec) -> str:
    """Of a user's password on the broker."""
    return f"SLUICE_KAFKA_PASSWORD_{spec.name.upper().replace('-', '_')}"


def _variable(name: str, environment: Mapping[str, str] = os.environ) -> str:
    value = environment.get(name)
    if not value:
        raise StackError(f"set the environment variable {name}")
    return value


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1:]))
    except (StackError, SecretFileError) as error:
        sys.exit(f"setup: {error}")
