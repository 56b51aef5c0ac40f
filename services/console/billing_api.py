"""The routes about money: credit, usage, and balance alerts."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from pydantic import Field

from contracts.credit import CreditKind, CreditSettingsSet
from libs.pricing.usd import MOST_USD, parse_usd
from services.console import accounts, credit, organizations, usage
from services.console.calls import Body, Call, Calls
from services.console.core.authorization import Action, check_account, check_operator
from services.console.errors import BadInput

Usd = Annotated[str, Field(pattern=r"^-?\d{1,10}(\.\d{1,6})?$", max_length=20)]
"""US dollars as a decimal string, to the microdollar."""
IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=100, pattern=r"^[\x21-\x7e]+$")]
Since = Annotated[datetime | None, Query(description="From then on (RFC 3339); without it, 30 days ago.")]
Until = Annotated[datetime | None, Query(description="Before then (RFC 3339); without it, now.")]


class CreditOrder(Body):
    """Credit to add (or, below 0, to take)."""

    usd: Usd
    kind: CreditKind = CreditKind.TOP_UP
    reference: Annotated[str, Field(max_length=200)] = ""
    """Of the payment, or the reason."""


class CreditSettings(Body):
    """When alerts and top-ups are due, in US dollars; a threshold that is left out is never reached."""

    alert_below: Usd | None = None
    top_up_below: Usd | None = None
    top_up: Usd | None = None


class BillingRoutes:
    """Each opens one transaction, asks `services.console.core.authorization`, then orders or reads."""

    def __init__(self, calls: Calls) -> None:
        self._acting, self._in_organization = calls.acting, calls.in_organization

    def routes(self) -> APIRouter:
        """The routes."""
        routes = APIRouter()
        add = routes.add_api_route
        add("/api/accounts/{account_id}/credit", self.show_own, methods=["GET"])
        add("/api/accounts/{account_id}/credit", self.order_for_account, methods=["POST"], status_code=202)
        add("/api/accounts/{account_id}/credit/settings", self.set_own, methods=["PUT"])
        add("/api/accounts/{account_id}/usage", self.own_usage, methods=["GET"])
        add("/api/organizations/{organization_id}/credit", self.show_shared, methods=["GET"])
        add(
            "/api/organizations/{organization_id}/credit",
            self.order_for_organization,
            methods=["POST"],
            status_code=202,
        )
        add("/api/organizations/{organization_id}/credit/settings", self.set_shared, methods=["PUT"])
        add("/api/organizations/{organization_id}/usage", self.organization_usage, methods=["GET"])
        add("/api/usage", self.whole_usage, methods=["GET"])
        return routes

    async def show_own(self, account_id: str, call: Call) -> dict[str, Any]:
        """An account's balance, settings and newest top-ups."""
        async with self._acting(call) as (connection, actor):
            check_account(actor, account_id)
            return await credit.show(connection, f"acct:{account_id}")

    async def show_shared(self, organization_id: str, call: Call) -> dict[str, Any]:
        """An organization's balance, settings and newest top-ups."""
        async with self._in_organization(call, organization_id, Action.SEE) as (connection, _actor):
            return await credit.show(connection, f"org:{organization_id}")

    async def order_for_account(
        self, account_id: str, body: CreditOrder, call: Call, idempotency_key: IdempotencyKey = None
    ) -> dict[str, Any]:
        """Add credit to an account (operator). The ledger has it when `GET` shows its entry."""
        async with self._acting(call) as (connection, actor):
            check_operator(actor)
            await accounts.token_epoch(connection, account_id)
            return await credit.order(connection, actor, f"acct:{account_id}", _order(body), idempotency_key)

    async def order_for_organization(
        self, organization_id: str, body: CreditOrder, call: Call, idempotency_key: IdempotencyKey = None
    ) -> dict[str, Any]:
        """Add credit to an organization (operator). The ledger has it when `GET` shows its entry."""
        async with self._acting(call) as (connection, actor):
            check_operator(actor)
            await organizations.lock(connection, organization_id)
            return await credit.order(connection, actor, f"org:{organization_id}", _order(body), idempotency_key)

    async def set_own(self, account_id: str, body: CreditSettings, call: Call) -> dict[str, Any]:
        """Set when alerts and top-ups of an account are due."""
        async with self._acting(call) as (connection, actor):
            check_account(actor, account_id)
            await accounts.token_epoch(connection, account_id)
            return await credit.set_settings(connection, actor, _settings(f"acct:{account_id}", body))

    async def set_shared(self, organization_id: str, body: CreditSettings, call: Call) -> dict[str, Any]:
        """Set when alerts and top-ups of an organization are due."""
        async with self._in_organization(call, organization_id, Action.MANAGE_BILLING) as (connection, actor):
            return await credit.set_settings(connection, actor, _settings(f"org:{organization_id}", body))

    async def own_usage(
        self, account_id: str, call: Call, by: usage.By = usage.By.MODEL, since: Since = None, until: Until = None
    ) -> list[dict[str, Any]]:
        """What an account used, its work for organizations included."""
        async with self._acting(call) as (connection, actor):
            check_account(actor, account_id)
            return await usage.report(connection, by, usage.span(since, until), account_id=account_id)

    async def organization_usage(
        self, organization_id: str, call: Call, by: usage.By = usage.By.MODEL, since: Since = None, until: Until = None
    ) -> list[dict[str, Any]]:
        """What an organization used; members see their own part."""
        async with self._in_organization(call, organization_id, Action.SEE) as (connection, actor):
            role = await organizations.role_of(connection, organization_id, actor.account_id)
            own_only = not actor.operator and role not in usage.SEE_ALL
            return await usage.report(
                connection,
                by,
                usage.span(since, until),
                owner=f"org:{organization_id}",
                account_id=actor.account_id if own_only else None,
            )

    async def whole_usage(
        self, call: Call, by: usage.By = usage.By.MODEL, since: Since = None, until: Until = None
    ) -> list[dict[str, Any]]:
        """What everybody used (operator); for an account, what it used."""
        async with self._acting(call) as (connection, actor):
            if actor.account_id:
                check_account(actor, actor.account_id)
            return await usage.report(connection, by, usage.span(since, until), account_id=actor.account_id)


def _order(body: CreditOrder) -> credit.Order:
    amount = parse_usd(body.usd)
    if amount == 0 or ((amount < 0) is not (body.kind is CreditKind.REFUND) and body.kind is not CreditKind.ADJUSTMENT):
        raise BadInput("a top-up is above 0, a refund below it, an adjustment either; none is 0")
    if abs(amount) > MOST_USD * 1_000_000:
        raise BadInput("that is more than a billion US dollars")
    return credit.Order(body.kind, amount, body.reference)


def _settings(owner: str, body: CreditSettings) -> CreditSettingsSet:
    amounts = {
        "alert_below_microdollars": body.alert_below,
        "top_up_below_microdollars": body.top_up_below,
        "top_up_microdollars": body.top_up,
    }
    parsed = {name: None if text is None else parse_usd(text) for name, text in amounts.items()}
    if (parsed["top_up_below_microdollars"] is None) != (parsed["top_up_microdollars"] is None):
        raise BadInput("auto top-up needs both: `top_up_below`, and `top_up`, by how much")
    if (parsed["top_up_microdollars"] or 1) <= 0:
        raise BadInput("`top_up` must be above 0")
    return CreditSettingsSet.model_validate({"owner": owner, **parsed})
