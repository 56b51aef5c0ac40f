"""What all routes share: a call, its one transaction, and the actor in it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import asyncpg
from fastapi import Depends, Header, Request
from pydantic import BaseModel, ConfigDict

from libs.database.pool import AWAY, Database
from libs.identity.addresses import FORWARDED_HEADERS, ForwardedHeader, caller_address
from services.console import organizations
from services.console.authentication import authenticate
from services.console.core.authorization import Action, Actor, check_organization
from services.console.errors import Away, BadInput
from services.console.signing import SigningKeys


class Body(BaseModel):
    """A call's body; what is not known is refused."""

    model_config = ConfigDict(extra="forbid")


class _Call:
    """Of a request, what authentication and the audit trail need."""

    def __init__(self, request: Request, authorization: Annotated[str | None, Header()] = None) -> None:
        self.authorization = authorization
        self.forwarded = {name: ", ".join(request.headers.getlist(name)) for name in FORWARDED_HEADERS}
        self.peer = request.client.host if request.client else ""
        self.changes = request.method != "GET"


Call = Annotated[_Call, Depends(_Call)]


class Calls:
    """Opens a call's transaction and authenticates the caller."""

    def __init__(
        self,
        database: Database,
        signing: SigningKeys,
        operator_token: str,
        changed: Callable[[], None],
        *,
        proxies: int = 0,
        forwarded_header: ForwardedHeader = "x-forwarded-for",
    ) -> None:
        """
        Args:
            proxies: see `libs.identity.addresses.caller_address`, and for ``forwarded_header``.
            changed: called after each change, so that the outbox is published at once.
        """
        self._database = database
        self._signing = signing
        self._operator_token = operator_token
        self._changed = changed
        self._proxies = proxies
        self._forwarded_header = forwarded_header

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Any]:
        """A connection. Its errors become ours."""
        try:
            async with self._database.pool.acquire() as connection:
                yield connection
        except AWAY:
            raise Away("the control database is away; nothing was changed, try again") from None
        except asyncpg.UndefinedTableError:
            raise Away("the ledger has not been set up yet; try again when metering has started") from None
        except asyncpg.DataError:
            raise BadInput("a value holds characters that cannot be stored") from None

    @asynccontextmanager
    async def acting(self, call: _Call) -> AsyncIterator[tuple[Any, Actor]]:
        """A transaction and who is in it. Raises NotAllowed."""
        async with self.reading() as connection, connection.transaction():
            origin = caller_address(call.peer, call.forwarded, self._proxies, self._forwarded_header)
            actor = await authenticate(connection, self._signing, self._operator_token, call.authorization, origin)
            yield connection, actor
        if call.changes:
            self._changed()

    @asynccontextmanager
    async def in_organization(
        self, call: _Call, organization_id: str, action: Action
    ) -> AsyncIterator[tuple[Any, Actor]]:
        """The same, after `check`."""
        async with self.acting(call) as (connection, actor):
            await self.check(connection, actor, organization_id, action)
            yield connection, actor

    async def check(self, connection: Any, actor: Actor, organization_id: str, action: Action) -> None:
        """Raises NotFound or Forbidden where the actor may not do this; locks the organization."""
        role = await organizations.role_of(connection, organization_id, actor.account_id)
        check_organization(actor, organization_id, role, action)
        await organizations.lock(connection, organization_id)
