"""``GET /api/profile`` and ``/api/profile/balance``, which Kilo Code's client reads when its user signs in.

Source of the form: Kilo-Org/kilocode, packages/kilo-gateway/src/api/profile.ts.
"""

from collections.abc import Callable
from typing import Any

import orjson
from starlette.types import Receive, Scope, Send

from contracts.credit import BalanceChanged
from contracts.requests import Caller
from libs.bus.views import View
from libs.pricing.cost import MILLION
from services.ingress.authentication import Authenticator
from services.ingress.core import admission
from services.ingress.core.answers import refused, whole
from services.ingress.core.errors import IngressError, Unauthorized


class ProfilePage:
    """The ASGI application: who the key's account is, and which organizations it may act for.

    Names and e-mail addresses are the console's alone, so IDs stand for them here.
    """

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        await _answer(scope, send, self._authenticator, self._profile)

    def _profile(self, caller: Caller) -> dict[str, Any]:
        account_id = caller.account_id or ""
        roles = self._authenticator.roles(account_id)
        return {
            "user": {"id": account_id, "email": "", "name": account_id, "image": ""},
            "organizations": [{"id": name, "name": name, "role": role} for name, role in sorted(roles.items())],
            "hasPersonalAccount": True,
        }


class ProfileBalancePage:
    """The ASGI application: what is left of the caller's credit, or of the organization's that they act for, in USD."""

    def __init__(self, authenticator: Authenticator, balances: View[BalanceChanged]) -> None:
        self._authenticator = authenticator
        self._balances = balances

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        await _answer(scope, send, self._authenticator, self._balance)

    def _balance(self, caller: Caller) -> dict[str, Any]:
        record = self._balances.get(caller.owner)
        microdollars = record.balance_microdollars if record else 0
        return {"balance": microdollars / MILLION, "isDepleted": microdollars <= 0}


async def _answer(
    scope: Scope, send: Send, authenticator: Authenticator, make: Callable[[Caller], dict[str, Any]]
) -> None:
    try:
        headers = admission.header_map(scope["headers"])
        token = admission.bearer_token(headers)
        if token is None:
            raise Unauthorized("A profile is an account's: send `Authorization: Bearer <api key>`.")
        caller = await authenticator.caller(token, admission.organization_of(headers))
    except IngressError as error:
        messages = refused(error.refusal, [])
    else:
        messages = whole(200, orjson.dumps(make(caller)), [])
    for message in messages:
        await send(message)
