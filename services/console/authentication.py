"""From the token of a call to an actor."""

import hmac
from datetime import UTC, datetime

import jwt

from libs.database.pool import Connection
from libs.identity.tokens import TokenError, verify
from services.console.core.authorization import Actor
from services.console.errors import NotAllowed
from services.console.signing import SigningKeys

_HOW = "send `Authorization: Bearer <key>`: an API key, or the operator token"


async def authenticate(
    connection: Connection, signing: SigningKeys, operator_token: str, token: str, origin: str
) -> Actor:
    """The operator, or the account of an API key that is valid now according to the database.

    Raises:
        NotAllowed: neither.
    """
    if not token:
        raise NotAllowed(_HOW)
    if hmac.compare_digest(token.encode(), operator_token.encode()):
        return Actor(None, frozenset(), origin)
    public = await signing.public(connection)
    try:
        claims = verify(token, public.get, datetime.now(UTC).timestamp())
    except TokenError as error:
        raise NotAllowed(f"{error} ({_HOW})") from None
    if claims.organization_id is not None:
        raise NotAllowed("an organization token calls models only; use the account's own key here")
    row = await connection.fetchrow(
        "select a.disabled, a.token_epoch, k.revoked_at from control.accounts a "
        "join control.api_keys k on k.account_id = a.id where a.id = $1 and k.id = $2",
        claims.account_id,
        claims.jti,
    )
    if row is None or row["disabled"] or row["revoked_at"] or claims.token_epoch < row["token_epoch"]:
        raise NotAllowed("this API key was revoked, or its account is gone")
    ends_at = datetime.fromtimestamp(claims.expires_at_s, UTC)
    return Actor(claims.account_id, claims.scopes, origin, ends_at)


def key_of(token: str) -> str:
    """The ID of an API key that `authenticate` has accepted."""
    return str(jwt.decode(token, options={"verify_signature": False})["jti"])
