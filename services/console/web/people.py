"""Accounts by the addresses that people know them by, where who looks may know them."""

from collections.abc import Iterable, Mapping

from libs.database.pool import Connection
from services.console.core.owners import Owner
from services.console.errors import NotFound
from services.console.store import accounts, organizations


async def emails_in(
    connection: Connection, owner: Owner | None, account_ids: Iterable[str | None]
) -> Mapping[str, str]:
    """E-mail addresses by account ID: in an organization of its members, in everybody's space of all.

    Of others, as of who was invited or has left, the ID is all that is shown.
    """
    wanted = sorted({one for one in account_ids if one})
    if not wanted or (owner and not owner.organization_id):
        return {}
    if owner and owner.organization_id:
        return await organizations.emails(connection, owner.organization_id, wanted)
    return await accounts.emails(connection, wanted)


async def account_in(connection: Connection, owner: Owner | None, text: str) -> str:
    """The account that has an e-mail address, where who looks may know; else what was written, which finds nothing."""
    if "@" not in text:
        return text
    try:
        if owner is None:
            return await accounts.find(connection, text)
        return await organizations.member_of(connection, owner.id, text)
    except NotFound:
        return text


async def owner_names(connection: Connection, owners: Iterable[str]) -> Mapping[str, str]:
    """For the operator: names of organizations and addresses of accounts, by ``org:<id>`` and ``acct:<id>``."""
    ids = sorted({one.partition(":")[2] for one in owners})
    names = {f"acct:{id_}": email for id_, email in (await accounts.emails(connection, ids)).items()}
    return names | {f"org:{id_}": name for id_, name in (await organizations.names(connection, ids)).items()}
