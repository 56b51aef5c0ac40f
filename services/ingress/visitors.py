"""Who asks, by the headers, and what body they bring."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.types import Receive, Scope

from contracts.requests import Caller, Voucher
from libs.config.gateway import GatewayConfig, Limits
from libs.identity.addresses import Clients, caller_address
from services.ingress.authentication import Authenticates
from services.ingress.body import Bodies, Body
from services.ingress.core import admission
from services.ingress.core.errors import Unauthorized
from services.ingress.core.nodes import check_nodes


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks, by the headers."""

    headers: Mapping[str, str]
    caller: Caller | None
    """None: anonymous."""
    address: str
    """The client's, as `libs.identity.addresses.Clients` names it."""
    voucher: Voucher | None = None
    in_batch: bool = False
    """It is a line of a batch: nobody waits for it."""
    patient: bool = False
    """See `contracts.requests.CallableRequest`."""

    @property
    def owner(self) -> str | None:
        """Whose bytes and answers these are; None: those of all who sent no key."""
        return self.caller.owner if self.caller else None

    @property
    def share(self) -> str | None:
        """Whose share of this ingress the request uses. That of batches is apart: their owner waits for others."""
        return f"batch/{self.owner}" if self.in_batch else self.owner


class Visitors:
    """Identifies visitors by their keys and addresses. The key is checked before a byte of the body is read."""

    def __init__(self, authenticator: Authenticates, config: GatewayConfig, limits: Callable[[], Limits]) -> None:
        self._authenticator = authenticator
        self._proxies = config.trusted_proxies
        self._forwarded_header = config.forwarded_header
        self._clients = Clients()
        self._bodies = Bodies(config.limits, limits, config.timeouts)

    async def visitor(self, scope: Scope, organization: str | None = None) -> Visitor:
        """Who asks.

        Args:
            organization: whom the path names; else the header counts.

        Raises:
            Unauthorized, Forbidden, BadRequest: a key or a header is wrong.
        """
        headers = admission.header_map(scope["headers"])
        token = admission.bearer_token(headers)
        if organization is None:
            organization = admission.organization_of(headers)
        elif token is None:
            raise Unauthorized("An organization has its own models: send `Authorization: Bearer <api key>`.")
        caller, voucher = None, None
        if token is not None:
            caller, voucher = await self._authenticator.identify(token, organization)
        peer = scope["client"][0] if scope.get("client") else ""
        address = caller_address(peer, headers, self._proxies, self._forwarded_header)
        return Visitor(headers, caller, self._clients.client_of(address), voucher)

    async def read(self, visitor: Visitor, receive: Receive) -> Body:
        """The body; leave it when its bytes are not needed any more. Raises as `Bodies.read` does."""
        return await self._bodies.read(visitor.headers, receive, owner=visitor.owner, address=visitor.address)

    async def read_json(self, visitor: Visitor, receive: Receive, most_nodes: int) -> Body:
        """A body of so many JSON values at the most. Raises BadRequest, too."""
        body = await self.read(visitor, receive)
        try:
            for _ in check_nodes(body.data, most_nodes):
                await asyncio.sleep(0)
        except BaseException:
            body.release()
            raise
        return body
