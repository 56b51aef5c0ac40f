"""What all routes share: a call's one transaction, and who is in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import asyncpg
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from libs.database.pool import AWAY, Connection
from libs.identity.addresses import FORWARDED_HEADERS, caller_address
from services.console.authentication import authenticate
from services.console.core.authorization import (
    Action,
    Actor,
    Role,
    check_account,
    check_operator,
    check_organization,
)
from services.console.core.owners import Owner, OwnerKind
from services.console.errors import Away, BadInput
from services.console.store import accounts, organizations

if TYPE_CHECKING:
    from services.console.parts import Parts


@dataclass(frozen=True, slots=True)
class Session:
    """One call: its transaction, its caller, and what there is to work with."""

    connection: Connection
    actor: Actor
    parts: "Parts"
    changes: bool
    """It is not only to read."""

    def check_operator(self) -> None:
        """Raises Forbidden for everybody but the operator."""
        check_operator(self.actor)

    async def check_account(self, account_id: str) -> None:
        """Raises NotFound or Forbidden where the caller may not manage this account; NotFound where there is none."""
        check_account(self.actor, account_id)
        if self.actor.operator:
            await accounts.exists(self.connection, account_id)

    async def check_organization(self, organization_id: str, action: Action) -> Role | None:
        """The caller's role, which may do this; None for the operator. A call that changes locks the organization.

        Raises:
            NotFound: no such organization, or the caller is no member of it.
            Forbidden: its role may not.
        """
        role = await organizations.role_of(self.connection, organization_id, self.actor.account_id)
        check_organization(self.actor, organization_id, role, action)
        await (organizations.lock if self.changes else organizations.name_of)(self.connection, organization_id)
        return role

    async def check(self, owner: Owner, action: Action) -> Role | None:
        """The same for an organization; an account may do all of it for itself."""
        if owner.kind is OwnerKind.ORGANIZATIONS:
            return await self.check_organization(owner.id, action)
        await self.check_account(owner.id)
        return None


def parts_of(request: Request) -> "Parts":
    """What the application was built of."""
    parts: Parts = request.app.state.parts
    return parts


@asynccontextmanager
async def connected(parts: "Parts") -> AsyncIterator[Connection]:
    """A connection. Its errors become ours."""
    try:
        async with parts.database.pool.acquire() as connection:
            yield connection
    except AWAY:
        raise Away("the control database is away; nothing was changed, try again") from None
    except asyncpg.UndefinedTableError:
        raise Away("the ledger has not been set up yet; try again when metering has started") from None
    except asyncpg.DataError:
        raise BadInput("a value holds characters that cannot be stored") from None


def origin(request: Request, parts: "Parts") -> str:
    """The address that a call came from."""
    forwarded = {name: ", ".join(request.headers.getlist(name)) for name in FORWARDED_HEADERS}
    peer = request.client.host if request.client else ""
    return caller_address(peer, forwarded, parts.proxies, parts.forwarded_header)


_BEARER = HTTPBearer(auto_error=False, description="An API key with the scope `manage`, or the operator token.")


Credential = Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]


async def _session(request: Request, credential: Credential) -> AsyncIterator[Session]:
    parts = parts_of(request)
    token = credential.credentials if credential else ""
    async with connected(parts) as connection, connection.transaction():
        actor = await authenticate(connection, parts.signing, parts.operator_token, token, origin(request, parts))
        yield Session(connection, actor, parts, request.method != "GET")
    if request.method != "GET":
        parts.changed()


session = asynccontextmanager(_session)
"""The same, for what must be done outside of a transaction."""

# Of the scope of the function: the transaction has ended before the answer begins.
Call = Annotated[Session, Depends(_session, scope="function")]


def _owner(kind: OwnerKind, owner_id: str) -> Owner:
    return Owner(kind, owner_id)


Owned = Annotated[Owner, Depends(_owner)]
"""For routes below ``/api/{kind}/{owner_id}``."""
