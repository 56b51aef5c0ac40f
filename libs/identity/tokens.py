"""API keys and organization tokens: EdDSA JWTs with one fixed algorithm, issuer and audience (RFC 8725).

Two token types, distinguished by the ``typ`` header: ``sluice-key+jwt`` (an account's API key) and ``sluice-org+jwt``
(fifteen minutes, for one organization).
"""

import base64
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from contracts.requests import Voucher
from libs.identity.vouchers import signed

ALGORITHM = "EdDSA"
ISSUER = "sluice"
AUDIENCE = "sluice-gateway"
KEY_TYPE = "sluice-key+jwt"
ORGANIZATION_TYPE = "sluice-org+jwt"
MAX_TOKEN_BYTES = 4096
MAX_VOUCHER = 88
API_KEY_TTL_S = 5 * 365 * 24 * 3600
ORGANIZATION_TTL_S = 15 * 60
INFERENCE = "inference"
"""Scope: call models."""
MANAGE = "manage"
"""Scope: act on the management API as the account."""
SCOPES = (INFERENCE, MANAGE)
# The message to the client, from whichever service receives the change first.
KEY_REVOKED = "This API key was revoked; create a new one."
ACCOUNT_DISABLED = "The account of this API key does not exist or is disabled."


class TokenError(Exception):
    """The token must not be accepted. The message is fit for the client and quotes nothing of the token."""


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a verified token."""

    kid: str
    jti: str
    account_id: str
    token_epoch: int
    expires_at_s: int
    organization_id: str | None = None
    role: str | None = None
    scopes: frozenset[str] = frozenset({INFERENCE})
    voucher: Voucher | None = None


def fingerprint(jti: str) -> str:
    """A name for a token in logs and records that does not help to forge it; it follows from the token's ID."""
    return hashlib.sha256(jti.encode()).hexdigest()[:16]


def mint(
    private_key: Ed25519PrivateKey,
    *,
    kid: str,
    jti: str,
    account_id: str,
    token_epoch: int,
    issued_at_s: int,
    ttl_s: int = API_KEY_TTL_S,
    organization_id: str | None = None,
    role: str | None = None,
    scopes: Iterable[str] = (INFERENCE,),
) -> str:
    """Signs a token. With an organization it is an organization token, else an API key.

    Args:
        scopes: of `SCOPES`; the claim is the space-separated text of RFC 8693, section 4.2.
    """
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": account_id,
        "jti": jti,
        "iat": issued_at_s,
        "nbf": issued_at_s,
        "exp": issued_at_s + ttl_s,
        "epoch": token_epoch,
        "scope": " ".join(scopes),
    }
    about = Voucher(
        kid=kid, jti=jti, organization_id=organization_id, token_epoch=token_epoch, expires_at_s=issued_at_s + ttl_s
    )
    claims["voucher"] = signed(private_key, about, account_id).signature
    kind = KEY_TYPE
    if organization_id is not None:
        claims |= {"organizationId": organization_id, "organizationRole": role}
        kind = ORGANIZATION_TYPE
    return jwt.encode(claims, private_key, algorithm=ALGORITHM, headers={"kid": kid, "typ": kind})


def verify(token: str, public_key_of: Callable[[str], Ed25519PublicKey | None], now_s: float) -> Claims:
    """Checks signature, type, issuer, audience and times.

    Args:
        token: what stood behind ``Bearer``.
        public_key_of: the signing key of a ``kid``, or None.
        now_s: epoch seconds.

    Raises:
        TokenError: any of it is wrong.
    """
    if len(token) > MAX_TOKEN_BYTES:
        raise TokenError("The API key is too long to be one of ours.")
    header = _header(token)
    if header.get("alg") != ALGORITHM or header.get("typ") not in (KEY_TYPE, ORGANIZATION_TYPE):
        raise TokenError("The API key is not one of ours.")
    kid = header.get("kid")
    public_key = public_key_of(kid) if isinstance(kid, str) else None
    if public_key is None:
        raise TokenError("The API key is signed by a key that is not valid here.")
    try:
        payload = jwt.decode(
            token,
            public_key,
            algorithms=[ALGORITHM],
            issuer=ISSUER,
            audience=AUDIENCE,
            options={
                "require": ["iss", "aud", "sub", "jti", "iat", "exp"],
                # Times are checked below, against the caller's clock.
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
            },
        )
    except jwt.InvalidTokenError:
        raise TokenError("The API key is not valid.") from None
    return _claims(str(kid), header["typ"], payload, now_s)


def _header(token: str) -> dict[str, Any]:
    if not all(_is_canonical(part) for part in token.split(".")):
        raise TokenError("The API key is not a token.")
    try:
        return jwt.get_unverified_header(token)
    except (jwt.InvalidTokenError, UnicodeError):
        raise TokenError("The API key is not a token.") from None


def _is_canonical(part: str) -> bool:
    """True for the one base64url text of some bytes: another would be the same key under another fingerprint.

    Padding, characters that decoders pass over, and bits that the last character does not need (RFC 4648, section 3.5).
    """
    try:
        raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        return False
    return base64.urlsafe_b64encode(raw).rstrip(b"=") == part.encode()


def _claims(kid: str, kind: str, payload: dict[str, Any], now_s: float) -> Claims:
    epoch, expires, not_before = payload.get("epoch"), payload["exp"], payload.get("nbf", 0)
    texts = [payload["sub"], payload["jti"]]
    voucher = payload.get("voucher", "")
    if not isinstance(voucher, str) or len(voucher) > MAX_VOUCHER:
        raise TokenError("The API key is not valid.")
    numbers = [epoch, expires, not_before]
    organization = payload.get("organizationId")
    role = payload.get("organizationRole")
    if kind == ORGANIZATION_TYPE:
        texts += [organization, role]
    elif organization is not None or role is not None:
        raise TokenError("The API key is not valid.")
    scope = payload.get("scope", INFERENCE)
    if not isinstance(scope, str) or not set(scope.split()) <= set(SCOPES):
        raise TokenError("The API key is not valid.")
    if not all(isinstance(text, str) and 0 < len(text) <= 128 for text in texts):
        raise TokenError("The API key is not valid.")
    if not all(isinstance(number, int) and not isinstance(number, bool) for number in numbers):
        raise TokenError("The API key is not valid.")
    if now_s >= expires:
        raise TokenError("The API key has expired; create a new one.")
    if now_s < not_before:
        raise TokenError("The API key is not valid yet; is the clock right?")
    jti, token_epoch = payload["jti"], int(epoch or 0)
    return Claims(
        kid,
        jti,
        payload["sub"],
        token_epoch,
        expires,
        organization,
        role,
        frozenset(scope.split()),
        Voucher(
            kid=kid,
            jti=jti,
            organization_id=organization,
            token_epoch=token_epoch,
            expires_at_s=expires,
            signature=voucher,
        ),
    )


def public_bytes(key: Ed25519PublicKey | Ed25519PrivateKey) -> bytes:
    """The 32 raw bytes of the public half."""
    public = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
    return public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
