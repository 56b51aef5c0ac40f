"""What a service account shows to get an access token: a JWT that it signs itself. Pure.

Source: Google Identity, "Using OAuth 2.0 for Server to Server Applications"; RFC 7523.
"""

import base64
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from libs.provider_keys.documents import ServiceAccount

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TTL_S = 3_600


def assertion(account: ServiceAccount, token_url: str, now_s: int) -> str:
    """The JWT for one request of a token (RS256), valid for an hour."""
    header = {"alg": "RS256", "typ": "JWT", "kid": account.key_id}
    claims = {"iss": account.email, "scope": SCOPE, "aud": token_url, "iat": now_s, "exp": now_s + TTL_S}
    signed = f"{_part(header)}.{_part(claims)}"
    signature = account.private_key.sign(signed.encode(), PKCS1v15(), SHA256())
    return f"{signed}.{_base64url(signature)}"


def _part(content: dict[str, Any]) -> str:
    return _base64url(orjson.dumps(content))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
