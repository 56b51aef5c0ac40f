"""Access tokens for servers of MCP: OAuth's client credentials, for a gateway that nobody signs in at. Sans-I/O.

Sources: MCP's extension "OAuth Client Credentials" (2026-07-28); RFC 6749, sections 2.3.1, 4.4 and 5.1; RFC 8707.
"""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote_plus, urlencode, urlsplit

from pydantic_core import from_json

AuthMethod = Literal["client_secret_basic", "client_secret_post"]
"""Whether the secret is sent in a header or in the form (RFC 7591, ``token_endpoint_auth_method``)."""
MOST_TOKEN_CHARACTERS = 16_384
LASTS_S = 300.0
"""A token that does not say how long it lasts."""
REFUSED = (400, 401, 403)


class TokenError(ValueError):
    """What was answered holds no token."""


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """What an owner registered the gateway as at an authorization server, and where that gives tokens.

    The address is part of it: a server of MCP that names another authorization server gets no secret sent there.
    """

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str = ""
    auth_method: AuthMethod = "client_secret_basic"

    def document(self) -> dict[str, str]:
        """As it is sealed."""
        return {
            "token_url": self.token_url,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "scope": self.scope,
            "auth_method": self.auth_method,
        }

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "ClientCredentials":
        """Inverse of `document`. Raises LookupError."""
        names = ("token_url", "client_id", "client_secret", "scope")
        token_url, client_id, client_secret, scope = (str(document[name]) for name in names)
        in_form = document["auth_method"] == "client_secret_post"
        method: AuthMethod = "client_secret_post" if in_form else "client_secret_basic"
        return cls(token_url, client_id, client_secret, scope, method)


@dataclass(frozen=True, slots=True)
class Asked:
    """A POST to an authorization server."""

    content: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


def ask(credentials: ClientCredentials, url: str) -> Asked:
    """Asks for a token that is good for one server.

    Args:
        url: the server's.
    """
    form = {"grant_type": "client_credentials", "resource": resource_of(url)}
    if credentials.scope:
        form["scope"] = credentials.scope
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    if credentials.auth_method == "client_secret_post":
        form |= {"client_id": credentials.client_id, "client_secret": credentials.client_secret}
    else:
        pair = f"{quote_plus(credentials.client_id)}:{quote_plus(credentials.client_secret)}"
        headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    return Asked(urlencode(form).encode(), headers)


def resource_of(url: str) -> str:
    """What a server is called where tokens are given: its address without a query, which can hold a key."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")


def token_in(body: bytes) -> tuple[str, float]:
    """The token, and for how many seconds it is good. Raises TokenError."""
    try:
        found = from_json(body)
        token, kind, lasts_s = found["access_token"], found["token_type"], float(found.get("expires_in") or LASTS_S)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise TokenError("it is no token") from None
    fits = isinstance(token, str) and 0 < len(token) <= MOST_TOKEN_CHARACTERS and token.isascii()
    if not fits or not token.isprintable() or " " in token or str(kind).lower() != "bearer":
        raise TokenError("it is no bearer token")
    return token, lasts_s
