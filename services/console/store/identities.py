"""Accounts by what a provider of single sign-on knows them as."""

from libs.database.pool import Connection
from services.console.core.authorization import Actor
from services.console.errors import NotAllowed
from services.console.single_sign_on import Identity
from services.console.store import accounts
from services.console.store.audit import note

SIGN_ON = "single sign-on"
"""The actor of accounts that are made by signing in."""


async def account_of(connection: Connection, identity: Identity, origin: str, domains: frozenset[str]) -> str:
    """The account of an identity. The first time it is found by its e-mail address, and bound to it from then on.

    Args:
        domains: who has an address of one of these, and no account, is made one.

    Raises:
        NotAllowed: there is none, it is disabled, or it is bound to another identity.
    """
    account_id = await connection.fetchval(
        "select account_id from control.identities where issuer = $1 and subject = $2",
        identity.issuer,
        identity.subject,
    )
    if account_id is None:
        account_id = await connection.fetchval("select id from control.accounts where email = $1", identity.email)
        actor = Actor(account_id or SIGN_ON, frozenset(), origin)
        if account_id is None:
            if identity.email.rpartition("@")[2] not in domains:
                raise NotAllowed("You have no account here; ask the operator of this Sluice for one.")
            account_id = await accounts.create(connection, actor, identity.email)
        bound = await connection.fetchval(
            "insert into control.identities (issuer, subject, account_id) values ($1, $2, $3) "
            "on conflict do nothing returning account_id",
            identity.issuer,
            identity.subject,
            account_id,
        )
        if bound is None:
            raise NotAllowed("The account of this e-mail address is bound to another sign-in of the same provider.")
        await note(connection, actor, "identity.bind", account_id, issuer=identity.issuer)
    if await connection.fetchval("select disabled from control.accounts where id = $1", account_id):
        raise NotAllowed("Your account is disabled; ask the operator of this Sluice.")
    return str(account_id)
