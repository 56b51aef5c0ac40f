"""Policies: show, set, try a request, and try a draft on what was asked for before."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Field

from libs.policy.rules import check, daily_limit
from services.console.answers import Answer, Body
from services.console.core.authorization import Action
from services.console.core.policy_document import PolicyDocument, shown, stored
from services.console.core.records import policy
from services.console.core.replay import Replay, compare, is_single, moved
from services.console.editing import Match, tag
from services.console.errors import BadInput, NotFound
from services.console.session import Call, Session
from services.console.store import organizations, policies, replay, usage

routes = APIRouter(prefix="/api/organizations/{organization_id}/policy", tags=["policies"])


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


class Policy(Answer):
    """A policy and its version; version 0, which allows all, where none was ever set."""

    version: int
    policy: PolicyDocument
    set_by: str | None
    set_at: datetime | None


class PolicyVersion(Answer):
    """The version that was set."""

    version: int


class PolicyVerdict(Answer):
    """Whether a request would pass, and which rule refuses it if not."""

    allowed: bool
    rule: str | None
    message: str
    policy_version: int | None
    """None where a draft was asked."""
    providers: list[str]
    member_daily_limit_microdollars: int | None
    spent_today_microdollars: int


@routes.get("", response_model_exclude_unset=True)
async def show_policy(organization_id: str, call: Call, response: Response) -> Policy:
    """The organization's policy and its version."""
    await call.check_organization(organization_id, Action.SEE)
    current = await policies.current(call.connection, organization_id)
    tag(response, current.version)
    return Policy(version=current.version, policy=shown(current.document), set_by=current.set_by, set_at=current.set_at)


@routes.put("")
async def set_policy(
    organization_id: str, body: PolicyDocument, call: Call, match: Match, response: Response
) -> PolicyVersion:
    """Set the policy's next version."""
    await call.check_organization(organization_id, Action.SET_POLICY)
    match.check((await policies.current(call.connection, organization_id)).version)
    version = await policies.set_document(call.connection, call.actor, organization_id, stored(body))
    tag(response, version)
    return PolicyVersion(version=version)


@routes.post("/check")
async def check_policy(organization_id: str, body: PolicyQuestion, call: Call) -> PolicyVerdict:
    """Would this request pass, and why not."""
    await call.check_organization(organization_id, Action.SEE)
    account_id = body.account or call.actor.account_id
    if account_id is None:
        raise BadInput("name who would ask: `account`, an account's ID")
    if await organizations.role_of(call.connection, organization_id, account_id) is None:
        raise NotFound(f"the account {account_id!r} is not a member of this organization")
    current = await policies.current(call.connection, organization_id)
    rules = current.rules(organization_id)
    if body.policy is not None:
        rules = policy(organization_id, 1, stored(body.policy))
    verdict = check(body.model, call.parts.catalog, rules)
    limit = daily_limit(rules, account_id)
    spent = await usage.spent_today(call.connection, organization_id, account_id)
    rule, message = verdict.rule, verdict.message
    if rule is None and limit is not None and spent >= limit:
        rule, message = "member_daily_limit", "The member's daily limit is spent; it begins anew at midnight UTC."
    return PolicyVerdict(
        allowed=rule is None,
        rule=rule,
        message=message or "Allowed.",
        policy_version=current.version if body.policy is None else None,
        providers=list(verdict.provider_ids),
        member_daily_limit_microdollars=limit,
        spent_today_microdollars=spent,
    )


@routes.post("/replay")
async def replay_policy(organization_id: str, body: PolicyDraft, call: Call) -> Replay:
    """What a draft would newly refuse or allow of the requests that were made."""
    await call.check_organization(organization_id, Action.SET_POLICY)
    return await replayed(call, organization_id, body.policy, usage.span(body.since, None))


async def replayed(call: Session, organization_id: str, draft: PolicyDocument, over: usage.Span) -> Replay:
    """The draft run over the requests of a span."""
    before = (await policies.current(call.connection, organization_id)).rules(organization_id)
    after = policy(organization_id, 1, stored(draft))
    connection, catalog, made = call.connection, call.parts.catalog, None
    if is_single(before, after):
        asked = await replay.singly(connection, organization_id, over)
    else:
        models = moved(await replay.models(connection, organization_id, over), catalog, before, after)
        asked = await replay.asked(connection, organization_id, over, models)
        made = await replay.count(connection, organization_id, over)
    days = await replay.days(connection, organization_id, over)
    return compare(asked, days, catalog, before, after, over.since, made)
