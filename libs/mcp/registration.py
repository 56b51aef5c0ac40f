"""A registered server: where it is, and what proves who calls. One document, sealed whole, so that neither goes
anywhere without the other. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from pydantic_core import from_json, to_json

from libs.mcp.oauth import ClientCredentials
from libs.outbound.addresses import AddressError, Reachable
from libs.sealing.secret import Secret

MOST_HEADERS = 8
MOST_VALUE_CHARACTERS = 4_096
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}\Z")
_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?\Z")
_OURS = ("accept", "connection", "content-", "cookie", "keep-alive", "mcp-", "proxy-", "transfer-encoding")
_HOP = ("expect", "host", "te", "trailer", "upgrade")


class RegistrationError(ValueError):
    """It cannot be registered. The message quotes no header's value."""


@dataclass(frozen=True, slots=True)
class Registration:
    """Where a server is, and the headers that it is sent. Its repr shows no secret."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    oauth: ClientCredentials | None = field(default=None, repr=False)
    """With which its tokens are fetched; None: headers are all that proves who calls."""

    def check(self, reachable: Reachable) -> None:
        """Raises RegistrationError where the address may not be called, or a header cannot be sent."""
        try:
            reachable.checked(self.url)
            if self.oauth:
                reachable.checked(self.oauth.token_url)
        except AddressError as error:
            raise RegistrationError(str(error)) from None
        if len(self.headers) > MOST_HEADERS:
            raise RegistrationError(f"at most {MOST_HEADERS} headers")
        for name, value in self.headers.items():
            if not _NAME.match(name) or name.lower().startswith(_OURS) or name.lower() in _HOP:
                raise RegistrationError(f"{name[:64]!r} is not a header that a server can be sent")
            if len(value) > MOST_VALUE_CHARACTERS or not _VALUE.match(value):
                raise RegistrationError(f"the value of {name} must be 1 to {MOST_VALUE_CHARACTERS} characters of ASCII")
        if self.oauth:
            self._check_oauth(self.oauth)

    def _check_oauth(self, oauth: ClientCredentials) -> None:
        if any(name.lower() == "authorization" for name in self.headers):
            raise RegistrationError("a server is sent either a header Authorization, or tokens of OAuth")
        for what, value in (("client ID", oauth.client_id), ("client secret", oauth.client_secret)):
            if len(value) > MOST_VALUE_CHARACTERS or not _VALUE.match(value):
                raise RegistrationError(f"the {what} must be 1 to {MOST_VALUE_CHARACTERS} characters of ASCII")
        if oauth.scope and (len(oauth.scope) > MOST_VALUE_CHARACTERS or not _VALUE.match(oauth.scope)):
            raise RegistrationError(f"the scope must have at most {MOST_VALUE_CHARACTERS} characters of ASCII")

    def encode(self) -> Secret:
        """As it is sealed."""
        oauth = {"oauth": self.oauth.document()} if self.oauth else {}
        return Secret(to_json({"url": self.url, "headers": dict(self.headers), **oauth}).decode())

    @classmethod
    def decode(cls, secret: Secret) -> "Registration":
        """Inverse of `encode`. Raises ValueError."""
        found = from_json(secret.reveal())
        headers = {str(name): str(value) for name, value in found["headers"].items()}
        oauth = found.get("oauth")
        return cls(str(found["url"]), headers, ClientCredentials.read(oauth) if oauth else None)

    @property
    def shown(self) -> str:
        """What may be shown: the address without a query, which can hold a key."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}{parts.path}"
