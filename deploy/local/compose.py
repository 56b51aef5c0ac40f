"""The ``.env`` of docker-compose.yml, filled in: every secret drawn anew."""

import base64
import secrets

from deploy.local.home import ROOT
from libs.bus.signing import Signer

EXAMPLE = ROOT / "deploy" / "compose.env.example"


def filled_in() -> str:
    """The example with a value behind each name that ends with ``=``."""
    private = {service: secrets.token_bytes(32) for service in ("CONSOLE", "KEY_VAULT", "RELAY")}
    values = {f"SLUICE_RECORD_KEY_{service}": _base64(key) for service, key in private.items()}
    values |= {f"SLUICE_TRUSTED_{service}_KEYS": _base64(Signer(key).public_key) for service, key in private.items()}
    lines = []
    for line in EXAMPLE.read_text().splitlines():
        name, equals, given = line.partition("=")
        fills = equals and not given and not line.startswith("#")
        lines.append(f"{line}{values.get(name) or _drawn(name)}" if fills else line)
    return "\n".join(lines) + "\n"


def _drawn(name: str) -> str:
    if name.endswith("_KEY_ENCRYPTION_KEYS"):
        return f"v1:{_base64(secrets.token_bytes(32))}"
    return secrets.token_hex(24)


def _base64(key: bytes) -> str:
    return base64.b64encode(key).decode()
