"""The secrets of docker-compose.yml and of the Helm chart, each in a file of its own."""

import secrets
from collections.abc import Collection
from pathlib import Path

from contracts.services import SERVICES, ServiceSpec
from deploy.local.certificates import ADMIN, BROKER, Authority
from deploy.local.errors import StackError
from deploy.local.home import ROOT
from deploy.local.postgres import GUEST, SCHEMAS
from libs.bus.access import EVERYBODY
from libs.bus.signing import Signer, trusted_variable
from libs.sealing.hybrid import to_base64

FOLDER = ROOT / "deploy" / "secrets"
BROKER_HOSTS = ("kafka",)
"""Under which the services of docker-compose.yml reach the broker."""
CA_FILE = "kafka-ca"
_ROLES = {service: f"sluice_{service.replace('-', '_')}" for service in SCHEMAS}


def draw(
    folder: Path = FOLDER, *, database_host: str = "postgres", broker_hosts: Collection[str] = BROKER_HOSTS
) -> list[str]:
    """Writes the files that are not there yet, and returns their names.

    The folder is its owner's alone. The files are readable by all: in a container each is mounted alone, and read by a
    user who is nobody on the host.

    Args:
        database_host: of the URLs, with a port where it is another than 5432.
        broker_hosts: names and addresses for the brokers' certificate.

    Raises:
        StackError: some of the files that belong together are there, and others not.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    written = []
    for group in _groups(database_host, broker_hosts):
        known = [name for name in group if (folder / name).exists()]
        if known and len(known) < len(group):
            missing = ", ".join(sorted(set(group) - set(known)))
            raise StackError(f"{folder} has {', '.join(known)} and not {missing}, which belong together")
        for name, value in {} if known else group.items():
            _write(folder / name, value)
            written.append(name)
    return written


def renew_certificates(folder: Path = FOLDER, *, broker_hosts: Collection[str] = BROKER_HOSTS) -> list[str]:
    """Draws a new CA and what it signs, in the place of what is there; the former CA is believed until the next time.

    Clients see the new file at their next connection (`libs.bus.tls`); the broker has to be started again.

    Raises:
        StackError: there are none.
    """
    former = folder / CA_FILE
    if not former.exists():
        raise StackError(f"{folder} has no certificates yet")
    files = _certificates(broker_hosts)
    newest_of_before = former.read_text().partition("-----END CERTIFICATE-----\n")
    files[CA_FILE] += newest_of_before[0] + newest_of_before[1]
    for name, value in files.items():
        # In place: what is mounted into a container is the file, not its name.
        (folder / name).chmod(0o644)
        _write(folder / name, value)
    return sorted(files)


def _write(file: Path, value: str) -> None:
    file.write_text(value)
    file.chmod(0o444)


def _groups(database_host: str, broker_hosts: Collection[str]) -> list[dict[str, str]]:
    """Names with values; those of one dict follow from one secret."""

    def url(role: str, password: str) -> str:
        return f"postgresql://{role}:{password}@{database_host}/sluice"

    admin = secrets.token_hex(24)
    groups = [{"admin-password": admin, "admin-database-url": url("postgres", admin)}, _certificates(broker_hosts)]
    groups += [{kafka_password_file(spec): secrets.token_hex(24)} for spec in EVERYBODY]
    for service, role in _ROLES.items():
        password = secrets.token_hex(24)
        groups.append({f"password-{service}": password, f"database-url-{service}": url(role, password)})
    for spec in SERVICES:
        if spec.signs:
            key = secrets.token_bytes(32)
            public = to_base64(Signer(key).public_key)
            groups.append({f"record-key-{spec.name}": to_base64(key), trusted_file(spec.name): public})
    groups += [
        {"operator-token": secrets.token_hex(24)},
        {"console-key-encryption-keys": f"v1:{to_base64(secrets.token_bytes(32))}"},
        {"vault-key-encryption-keys": f"v1:{to_base64(secrets.token_bytes(32))}"},
        {f"password-{GUEST}": secrets.token_hex(24)},
        {"grafana-admin-password": secrets.token_hex(24)},
    ]
    return groups


def trusted_file(service: str) -> str:
    """The file of the public keys of a service that signs."""
    return trusted_variable(service).removeprefix("SLUICE_").lower().replace("_", "-")


def kafka_password_file(spec: ServiceSpec) -> str:
    """The file of a user's password on the broker."""
    return f"kafka-password-{spec.name}"


def _certificates(broker_hosts: Collection[str]) -> dict[str, str]:
    """Kafka reads key and certificates from one file; clients read them apart."""
    authority = Authority()
    broker, admin = authority.issue(BROKER, broker_hosts), authority.issue(ADMIN)
    return {
        CA_FILE: authority.certificate,
        "kafka-broker": broker.key + broker.certificate,
        "kafka-admin": admin.certificate,
        "kafka-admin-key": admin.key,
    }
