"""Credit and usage, of an account or an organization."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Response
from pydantic import Field

from contracts.credit import CreditKind, CreditSettingsSet
from contracts.labels import MOST_CUSTOMER, MOST_TAG
from libs.pricing.usd import parse_usd
from services.console.answers import Body, Usd
from services.console.core.authorization import Action
from services.console.core.owners import OwnerKind
from services.console.editing import Match, tag
from services.console.errors import BadInput
from services.console.session import Call, Owned
from services.console.store import accounts, credit, organizations, usage
from services.console.store.credit import Credit, Ordered, OwnedThresholds
from services.console.store.usage import By, Only, UsageRow

routes = APIRouter(prefix="/api", tags=["money"])
IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=100, pattern=r"^[\x21-\x7e]+$")]
Since = Annotated[datetime | None, Query(description="From then on (RFC 3339); without it, 30 days ago.")]
Until = Annotated[datetime | None, Query(description="Before then (RFC 3339); without it, now.")]


def _only(
    key: Annotated[str | None, Query(max_length=64, description="A key's fingerprint.")] = None,
    tag: Annotated[str | None, Query(max_length=MOST_TAG)] = None,
    customer: Annotated[str | None, Query(max_length=MOST_CUSTOMER, description="As requests name it.")] = None,
) -> Only:
    return Only(key, tag, customer)


Filtered = Annotated[Only, Depends(_only)]


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


@routes.get("/{kind}/{owner_id}/credit")
async def show_credit(owner: Owned, call: Call) -> Credit:
    """A balance, its settings and its newest top-ups."""
    await call.check(owner, Action.SEE)
    return await credit.show(call.connection, owner.name)


@routes.post("/{kind}/{owner_id}/credit", status_code=202)
async def order_credit(owner: Owned, body: CreditOrder, call: Call, idempotency_key: IdempotencyKey = None) -> Ordered:
    """Add credit (operator). The ledger has it when `GET` shows its entry."""
    call.check_operator()
    if owner.kind is OwnerKind.ACCOUNTS:
        await accounts.token_epoch(call.connection, owner.id)
    else:
        await organizations.lock(call.connection, owner.id)
    return await credit.order(call.connection, call.actor, owner.name, wanted(body), idempotency_key)


@routes.get("/{kind}/{owner_id}/credit/settings")
async def show_credit_settings(owner: Owned, call: Call, response: Response) -> OwnedThresholds:
    """When alerts and top-ups are due."""
    await call.check(owner, Action.SEE)
    held = await credit.settings_of(call.connection, owner.name)
    tag(response, held.digest)
    return held


@routes.put("/{kind}/{owner_id}/credit/settings")
async def set_credit_settings(
    owner: Owned, body: CreditSettings, call: Call, match: Match, response: Response
) -> OwnedThresholds:
    """Set when alerts and top-ups are due."""
    await call.check(owner, Action.MANAGE_BILLING)
    if owner.kind is OwnerKind.ACCOUNTS:
        await accounts.token_epoch(call.connection, owner.id)
    match.check((await credit.settings_of(call.connection, owner.name, lock=True)).digest)
    held = await credit.set_settings(call.connection, call.actor, _settings(owner.name, body))
    tag(response, held.digest)
    return held


@routes.get("/{kind}/{owner_id}/usage", response_model_exclude_unset=True)
async def owned_usage(
    owner: Owned, call: Call, only: Filtered, by: By = By.MODEL, since: Since = None, until: Until = None
) -> list[UsageRow]:
    """What an account used, its work for organizations included; or an organization: members see their own part."""
    role = await call.check(owner, Action.SEE)
    over = usage.span(since, until)
    if owner.kind is OwnerKind.ACCOUNTS:
        return await usage.report(call.connection, by, over, account_id=owner.id, only=only)
    own_only = None if call.actor.operator or role in usage.SEE_ALL else call.actor.account_id
    return await usage.report(call.connection, by, over, owner=owner.name, account_id=own_only, only=only)


@routes.get("/usage", response_model_exclude_unset=True)
async def whole_usage(
    call: Call, only: Filtered, by: By = By.MODEL, since: Since = None, until: Until = None
) -> list[UsageRow]:
    """What everybody used (operator); for an account, what it used."""
    if call.actor.account_id:
        await call.check_account(call.actor.account_id)
    over = usage.span(since, until)
    return await usage.report(call.connection, by, over, account_id=call.actor.account_id, only=only)


def wanted(body: CreditOrder) -> credit.Order:
    """The order of a body. Raises BadInput where its sign is wrong for its kind."""
    amount = parse_usd(body.usd)
    if amount == 0 or ((amount < 0) is not (body.kind is CreditKind.REFUND) and body.kind is not CreditKind.ADJUSTMENT):
        raise BadInput("a top-up is above 0, a refund below it, an adjustment either; none is 0")
    return credit.Order(body.kind, amount, body.reference)


def _settings(owner: str, body: CreditSettings) -> CreditSettingsSet:
    alert, below, by = (
        None if text is None else parse_usd(text) for text in (body.alert_below, body.top_up_below, body.top_up)
    )
    if (below is None) != (by is None):
        raise BadInput("auto top-up needs both: `top_up_below`, and `top_up`, by how much")
    if by is not None and by <= 0:
        raise BadInput("`top_up` must be above 0")
    return CreditSettingsSet(
        owner=owner, alert_below_microdollars=alert, top_up_below_microdollars=below, top_up_microdollars=by
    )
