"""``GET /balance``: what is left of the caller's credit, or of the organization's that they act for."""

import orjson
from starlette.types import Receive, Scope, Send

from contracts.credit import BalanceChanged
from libs.bus.views import View
from libs.pricing.usd import usd
from services.ingress.authentication import Authenticator
from services.ingress.core import admission
from services.ingress.core.answers import refused, whole
from services.ingress.core.errors import IngressError, Unauthorized


class BalancePage:
    """The ASGI application. The balance is the ledger's, as of the newest charge or top-up that was entered."""

    def __init__(self, authenticator: Authenticator, balances: View[BalanceChanged]) -> None:
        self._authenticator = authenticator
        self._balances = balances

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        try:
            owner = await self._owner(scope)
        except IngressError as error:
            messages = refused(error.refusal, [])
        else:
            record = self._balances.get(owner)
            microdollars = record.balance_microdollars if record else 0
            body = {
                "owner": owner,
                "currency": "USD",
                "balance": usd(microdollars),
                "balance_microdollars": microdollars,
            }
            messages = whole(200, orjson.dumps(body), [])
        for message in messages:
            await send(message)

    async def _owner(self, scope: Scope) -> str:
        headers = admission.header_map(scope["headers"])
        token = admission.bearer_token(headers)
        if token is None:
            raise Unauthorized("A balance is an account's: send `Authorization: Bearer <api key>`.")
        caller = await self._authenticator.caller(token, admission.organization_of(headers))
        return caller.owner
