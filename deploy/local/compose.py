"""The secrets of docker-compose.yml, each in a file of its own."""

import secrets
from pathlib import Path

from contracts.services import SERVICES
from deploy.local.errors import StackError
from deploy.local.home import ROOT
from deploy.local.postgres import GUEST, SCHEMAS
from libs.bus.signing import Signer, trusted_variable
from libs.sealing.hybrid import to_base64

FOLDER = ROOT / "deploy" / "secrets"
_ROLES = {service: f"sluice_{service.replace('-', '_')}" for service in SCHEMAS}


def draw(folder: Path = FOLDER) -> list[str]:
    """Writes the files that are not there yet, and returns their names.

    The folder is its owner's alone. The files are readable by all: in a container each is mounted alone, and read by a
    user who is nobody on the host.

    Raises:
        StackError: some of the files that belong together are there, and others not.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    written = []
    for group in _groups():
        known = [name for name in group if (folder / name).exists()]
        if known and len(known) < len(group):
            missing = ", ".join(sorted(set(group) - set(known)))
            raise StackError(f"{folder} has {', '.join(known)} and not {missing}, which belong together")
        for name, value in {} if known else group.items():
            (folder / name).write_text(value)
            (folder / name).chmod(0o444)
            written.append(name)
    return written


def _groups() -> list[dict[str, str]]:
    """Names with values; those of one dict follow from one secret."""
    admin = secrets.token_hex(24)
    groups = [{"admin-password": admin, "admin-database-url": _url("postgres", admin)}]
    for service, role in _ROLES.items():
        password = secrets.token_hex(24)
        groups.append({f"password-{service}": password, f"database-url-{service}": _url(role, password)})
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


def _url(role: str, password: str) -> str:
    return f"postgresql://{role}:{password}@postgres/sluice"
