"""The ``.env`` of docker-compose.yml, filled in: every secret drawn anew."""

import secrets

from contracts.services import SERVICES
from deploy.local.home import ROOT
from libs.bus.signing import Signer, trusted_variable
from libs.sealing.hybrid import to_base64

EXAMPLE = ROOT / "deploy" / "compose.env.example"


def filled_in() -> str:
    """The example with a value behind each name that ends with ``=``."""
    values: dict[str, str] = {}
    for service in (spec.name for spec in SERVICES if spec.signs):
        key = secrets.token_bytes(32)
        values[f"SLUICE_RECORD_KEY_{service.upper().replace('-', '_')}"] = to_base64(key)
        values[trusted_variable(service)] = to_base64(Signer(key).public_key)
    lines = []
    for line in EXAMPLE.read_text().splitlines():
        name, equals, given = line.partition("=")
        fills = equals and not given and not line.startswith("#")
        lines.append(f"{line}{values.get(name) or _drawn(name)}" if fills else line)
    return "\n".join(lines) + "\n"


def _drawn(name: str) -> str:
    if name.endswith("_KEY_ENCRYPTION_KEYS"):
        return f"v1:{to_base64(secrets.token_bytes(32))}"
    return secrets.token_hex(24)
