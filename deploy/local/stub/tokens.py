"""Google's token service: an access token for each service account, whose assertion is read but not verified."""

import base64
from typing import Any
from urllib.parse import parse_qs

import orjson

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def token_of(form: bytes) -> tuple[int, dict[str, Any]]:
    """Status and answer of ``POST /token``. The token names the account's project by its last four characters."""
    fields = parse_qs(form.decode())
    if fields.get("grant_type") != [GRANT_TYPE]:
        return 400, {"error": "unsupported_grant_type"}
    try:
        _header, claims, _signature = fields["assertion"][0].split(".")
        account = orjson.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["iss"]
    except (KeyError, ValueError):
        return 400, {"error": "invalid_grant"}
    return 200, {"access_token": f"sk-stub-of-{account.partition('@')[0]}", "expires_in": 3599, "token_type": "Bearer"}
