"""OpenID Connect (Core 1.0): the authorization code flow with PKCE (RFC 7636), state and nonce.

The ID token is verified by PyJWT against the provider's published keys.
"""

import base64
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx
import jwt
import orjson

ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
"""Asymmetric ones: a client secret never verifies an ID token here."""
TIMEOUT_S = 10.0
MOST_BYTES = 256 * 1024
"""Of a document of the provider."""
FRESH_S = 3600.0
"""So long the metadata of the provider holds."""
MOST_COOKIE = 2_048
LEEWAY_S = 60
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class SignOnError(Exception):
    """Nobody is signed in; the message is for who tried, and quotes nothing of a token."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is remembered of a browser on its way to the provider."""

    state: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)
    leads_to: str = "/"
    """The page that was asked for."""

    def cookie(self) -> str:
        """As the browser keeps it: it is nobody else's, and costs the console nothing until it comes back."""
        return base64.urlsafe_b64encode(orjson.dumps(self)).decode()

    @classmethod
    def of_cookie(cls, value: str) -> "Attempt | None":
        """None where it is none."""
        try:
            kept = orjson.loads(base64.urlsafe_b64decode(value[:MOST_COOKIE]))
            return cls(**kept) if all(isinstance(one, str) for one in kept.values()) else None
        except (ValueError, TypeError, AttributeError):
            return None


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the provider says it is."""

    issuer: str
    subject: str
    email: str
    """Verified by the provider; in lower case."""


class SingleSignOn:
    """One provider."""

    def __init__(
        self,
        issuer: str,
        client_id: str,
        client_secret: str,
        name: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """
        Args:
            issuer: an https address, or one of this machine; its metadata is below it (Discovery 1.0).
            name: shown on the button.
            transport: how the provider is reached; None: by the network.

        Raises:
            ValueError: the address is neither.
        """
        parts = urlsplit(issuer)
        if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
            raise ValueError("the issuer of single sign-on must be an https address")
        self.name = name
        self._issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._transport = transport
        self._metadata: dict[str, Any] = {}
        self._keys: jwt.PyJWKSet | None = None
        self._read_at_s = float("-inf")

    def __repr__(self) -> str:
        return f"SingleSignOn({self._issuer!r})"

    async def address(self, attempt: Attempt, redirect_uri: str) -> str:
        """Where the browser goes. Raises SignOnError."""
        endpoint = _member(await self._discover(), "authorization_endpoint", self.name)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(attempt.verifier.encode()).digest()).rstrip(b"=")
        query = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": redirect_uri,
            "scope": "openid email",
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": challenge.decode(),
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    async def identity(self, attempt: Attempt, state: str, code: str, redirect_uri: str) -> Identity:
        """Who comes back with this state and code.

        Raises:
            SignOnError: the state is another's, or the provider or its token is not to be believed.
        """
        if not hmac.compare_digest(state.encode(), attempt.state.encode()):
            raise SignOnError("This answer belongs to another try; sign in again.")
        answer = await self._read(
            _member(await self._discover(), "token_endpoint", self.name),
            {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": redirect_uri,
                "code_verifier": attempt.verifier,
            },
        )
        claims = await self._verified(_member(answer, "id_token", self.name))
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), attempt.nonce.encode()):
            raise SignOnError("This answer belongs to another try; sign in again.")
        if claims.get("azp", self._client_id) != self._client_id:
            raise SignOnError(f"{self.name} signed somebody in to another program.")
        email = claims.get("email")
        if not isinstance(email, str) or claims.get("email_verified") is not True:
            raise SignOnError(f"{self.name} does not vouch for an e-mail address of yours.")
        return Identity(self._issuer, str(claims["sub"])[:255], email.lower()[:255])

    async def _discover(self) -> dict[str, Any]:
        if time.monotonic() - self._read_at_s > FRESH_S:
            metadata = await self._read(self._issuer.rstrip("/") + "/.well-known/openid-configuration")
            if metadata.get("issuer") != self._issuer:
                raise SignOnError(f"{self.name} is not the issuer that it is configured as.")
            self._metadata, self._keys, self._read_at_s = metadata, None, time.monotonic()
        return self._metadata

    async def _verified(self, token: str) -> dict[str, Any]:
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            key = await self._key(kid)
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=list(ALGORITHMS),
                audience=self._client_id,
                issuer=self._issuer,
                leeway=LEEWAY_S,
                options={"require": ["iss", "sub", "aud", "exp", "iat"]},
            )
        except jwt.PyJWTError:
            raise SignOnError(f"The token of {self.name} is not valid.") from None
        return claims

    async def _key(self, kid: object) -> jwt.PyJWK:
        """A key of the provider; read again where there is none of this name, for providers replace them."""
        for again in (False, True):
            if self._keys is None or again:
                self._keys = jwt.PyJWKSet.from_dict(await self._read(_member(self._metadata, "jwks_uri", self.name)))
            for key in self._keys.keys:
                if kid is None or key.key_id == kid:
                    return key
        raise SignOnError(f"The token of {self.name} is signed by a key that it does not publish.")

    async def _read(self, address: str, form: dict[str, str] | None = None) -> dict[str, Any]:
        """A JSON object of the provider; to a form it is sent with the client's name and secret (RFC 6749, 2.3.1)."""
        auth = (quote(self._client_id, ""), quote(self._client_secret, "")) if form else None
        try:
            async with (
                httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False, transport=self._transport) as client,
                client.stream("POST" if form else "GET", address, data=form, auth=auth) as answer,
            ):
                answer.raise_for_status()
                content = b""
                async for part in answer.aiter_bytes():
                    content += part
                    if len(content) > MOST_BYTES:
                        raise ValueError
            document = orjson.loads(content)
        except (httpx.HTTPError, ValueError):
            problem = "did not accept the sign-in; try again." if form else "cannot be reached; sign in with a key."
            raise SignOnError(f"{self.name} {problem}") from None
        if not isinstance(document, dict):
            raise SignOnError(f"{self.name} cannot be understood.")
        return document


def _member(document: dict[str, Any], name: str, provider: str) -> str:
    value = document.get(name)
    if not isinstance(value, str):
        raise SignOnError(f"{provider} sent no `{name}`.")
    return value
