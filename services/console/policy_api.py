"""The routes about policies: show, set, try a request, and try a draft on what was asked for before."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field

from libs.config.catalog import Catalog
from libs.policy.rules import check, daily_limit
from libs.pricing.usd import parse_usd, usd
from services.console import organizations, replay, usage
from services.console.billing_api import Usd
from services.console.calls import Body, Call, Calls
from services.console.core.authorization import Action
from services.console.core.records import policy
from services.console.errors import BadInput, NotFound


class PolicyDocument(Body):
    """An organization's rules; a rule that is left out allows all."""

    model_allow: list[Annotated[str, Field(min_length=1, max_length=200)]] | None = None
    """Model IDs, or wildcards such as ``anthropic/*``."""
    provider_allow: list[Annotated[str, Field(min_length=1, max_length=64)]] | None = None
    data_collection: Literal["allow", "deny"] | None = None
    """``deny``: no model whose provider keeps what it is sent."""
    member_daily_limit_usd: Usd | None = None
    """What each member may spend from one midnight UTC to the next."""
    member_daily_limits_usd: dict[str, Usd] | None = None
    """By account ID, for members with a limit of their own."""


class PolicyQuestion(Body):
    """A request that could be made."""

    model: Annotated[str, Field(min_length=1, max_length=200)]
    account: str | None = None
    """Who would make it; without one, the caller."""
    policy: PolicyDocument | None = None
    """A draft to ask; without one, the policy that holds."""


class PolicyDraft(Body):
    """A draft to replay requests against."""

    policy: PolicyDocument
    since: datetime | None = None
    """From then on (RFC 3339); without it, the last 30 days."""


class PolicyRoutes:
    """Each opens one transaction and asks `services.console.core.authorization`."""

    def __init__(self, calls: Calls, catalog: Catalog) -> None:
        self._in_organization = calls.in_organization
        self._catalog = catalog

    def routes(self) -> APIRouter:
        """The routes."""
        routes, path = APIRouter(), "/api/organizations/{organization_id}/policy"
        routes.add_api_route(path, self.show_policy, methods=["GET"])
        routes.add_api_route(path, self.set_policy, methods=["PUT"])
        routes.add_api_route(f"{path}/check", self.check_policy, methods=["POST"])
        routes.add_api_route(f"{path}/replay", self.replay_policy, methods=["POST"])
        return routes

    async def show_policy(self, organization_id: str, call: Call) -> dict[str, Any]:
        """The organization's policy and its version."""
        async with self._in_organization(call, organization_id, Action.SEE) as (connection, _actor):
            current = await organizations.current_policy(connection, organization_id)
            return {**current, "policy": _shown(current["policy"])}

    async def set_policy(self, organization_id: str, body: PolicyDocument, call: Call) -> dict[str, Any]:
        """Set the policy's next version."""
        async with self._in_organization(call, organization_id, Action.SET_POLICY) as (connection, actor):
            document = _document(body)
            return {"version": await organizations.set_policy(connection, actor, organization_id, document)}

    async def check_policy(self, organization_id: str, body: PolicyQuestion, call: Call) -> dict[str, Any]:
        """Would this request pass, and why not."""
        async with self._in_organization(call, organization_id, Action.SEE) as (connection, actor):
            account_id = body.account or actor.account_id
            if account_id is None:
                raise BadInput("name who would ask: `account`, an account's ID")
            if await organizations.role_of(connection, organization_id, account_id) is None:
                raise NotFound(f"the account {account_id!r} is not a member of this organization")
            current = await organizations.current_policy(connection, organization_id)
            version, document = current["version"], current["policy"]
            if body.policy is not None:
                version, document = 0, _document(body.policy)
            rules = policy(organization_id, max(version, 1), document)
            verdict = check(body.model, self._catalog, rules)
            limit = daily_limit(rules, account_id)
            spent = await usage.spent_today(connection, organization_id, account_id)
            rule, message = verdict.rule, verdict.message
            if rule is None and limit is not None and spent >= limit:
                rule, message = (
                    "member_daily_limit",
                    "The member's daily limit is spent; it begins anew at midnight UTC.",
                )
            return {
                "allowed": rule is None,
                "rule": rule,
                "message": message or "Allowed.",
                "policy_version": version if body.policy is None else None,
                "providers": list(verdict.provider_ids),
                "member_daily_limit_microdollars": limit,
                "spent_today_microdollars": spent,
            }

    async def replay_policy(self, organization_id: str, body: PolicyDraft, call: Call) -> dict[str, Any]:
        """What a draft would newly refuse or allow of the requests that were made."""
        async with self._in_organization(call, organization_id, Action.SET_POLICY) as (connection, _actor):
            current = await organizations.current_policy(connection, organization_id)
            before = policy(organization_id, max(current["version"], 1), current["policy"])
            draft = policy(organization_id, 1, _document(body.policy))
            over = usage.span(body.since, None)
            asked = await replay.asked(connection, organization_id, over)
            days = await replay.days(connection, organization_id, over)
            return replay.compare(asked, days, self._catalog, before, draft) | {"since": over.since}


def _document(body: PolicyDocument) -> dict[str, Any]:
    """As it is stored and published: amounts in microdollars."""
    document = body.model_dump(exclude_none=True, exclude={"member_daily_limit_usd", "member_daily_limits_usd"})
    if body.member_daily_limit_usd is not None:
        document["member_daily_limit_microdollars"] = _limit(body.member_daily_limit_usd)
    if body.member_daily_limits_usd:
        document["member_daily_limits"] = {
            account_id: _limit(text) for account_id, text in body.member_daily_limits_usd.items()
        }
    return document


def _shown(document: dict[str, Any]) -> dict[str, Any]:
    """The inverse of `_document`: what is shown can be set again."""
    shown = {name: value for name, value in document.items() if not name.startswith("member_daily_limit")}
    if "member_daily_limit_microdollars" in document:
        shown["member_daily_limit_usd"] = usd(document["member_daily_limit_microdollars"])
    if "member_daily_limits" in document:
        limits = document["member_daily_limits"].items()
        shown["member_daily_limits_usd"] = {account_id: usd(amount) for account_id, amount in limits}
    return shown


def _limit(text: str) -> int:
    amount = parse_usd(text)
    if amount < 0:
        raise BadInput("a daily limit is 0 or more")
    return amount
