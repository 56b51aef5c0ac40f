"""Access tokens of Google Cloud, fetched with service accounts and kept until they end."""

import hashlib
import ssl
import time
from dataclasses import dataclass

import httpx
import orjson

from libs.provider_keys.assertion import GRANT_TYPE, assertion
from libs.provider_keys.documents import service_account
from libs.runtime.tokens import Tokens
from libs.sealing.secret import Secret

WITHIN_S = 10.0
EARLIER_S = 120
"""A token is fetched anew so long before its end: calls take time."""
MOST_KNOWN = 1_000
MOST_BYTES = 64 * 1024


class TokenRefusedError(Exception):
    """Google does not take the service account."""


class NoTokenError(Exception):
    """Google cannot be reached, or gives no token."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A bearer token, and the project that it is used for."""

    token: Secret
    project: str


class AccessTokens:
    """Gives access tokens of service accounts: one fetch an account and hour, however many ask at once."""

    def __init__(self, verify: ssl.SSLContext | bool = True) -> None:
        """
        Args:
            verify: whom to trust; to read the system's list of authorities anew for each fetch takes CPU.
        """
        self._verify = verify
        self._tokens: Tokens[AccessToken] = Tokens(earlier_s=EARLIER_S, most=MOST_KNOWN)

    async def of(self, key: Secret, token_url: str) -> AccessToken:
        """The token of a service account's key file.

        Raises:
            KeyFormError: the key is no such file.
            TokenRefusedError, NoTokenError: see there.
        """
        name = hashlib.sha256(f"{token_url}\n{key.reveal()}".encode()).digest()
        return await self._tokens.of(name, lambda: self._fetch(key, token_url))

    async def _fetch(self, key: Secret, token_url: str) -> tuple[AccessToken, float]:
        account = service_account(key.reveal())
        form = {"grant_type": GRANT_TYPE, "assertion": assertion(account, token_url, int(time.time()))}
        try:
            async with httpx.AsyncClient(timeout=WITHIN_S, verify=self._verify) as http:
                answer = await http.post(token_url, data=form)
        except httpx.HTTPError:
            raise NoTokenError("Google's token service does not answer") from None
        if answer.status_code in (400, 401, 403):
            raise TokenRefusedError("Google does not take this service account")
        token, lasts_s = _token_in(answer)
        return AccessToken(Secret(token), account.project), lasts_s


def _token_in(answer: httpx.Response) -> tuple[str, float]:
    if answer.is_error or len(answer.content) > MOST_BYTES:
        raise NoTokenError(f"Google's token service answered {answer.status_code}")
    try:
        body = orjson.loads(answer.content)
        token, lasts_s = body["access_token"], float(body["expires_in"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        raise NoTokenError("Google's token service gave no token") from None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
        raise NoTokenError("Google's token service gave no token")
    return token, lasts_s
