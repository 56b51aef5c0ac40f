"""May this caller use this model? A pure function of the request, the catalog and the organization's policy."""

from collections.abc import Collection, Mapping, Sequence

from contracts.control import PolicySet
from contracts.decisions import PolicyDecided
from contracts.guardrails import Guardrails
from contracts.mcp import server_of
from contracts.prices import Price
from contracts.record import Refusal
from contracts.requests import RequestAccepted, Surface
from libs.config.catalog import UNKNOWN_CATALOG, Catalog
from libs.policy.conditions import ConditionError, facts, holds
from libs.policy.rules import Verdict, check
from libs.policy.tools import refused_by
from libs.pricing.cost import most_microdollars
from libs.pricing.usd import usd

_UNKNOWN = Refusal(
    status=503,
    message="The rules of this organization cannot be read at the moment; try again.",
    metadata={"rule": "unknown"},
    retry_after_s=1,
)


def decide(
    request: RequestAccepted,
    catalog: Catalog | None,
    policies: Mapping[str, PolicySet],
    disputed: Collection[str] = (),
) -> PolicyDecided:
    """The verdict on one request.

    Args:
        catalog: that the request names; None: it is not known here.
        policies: the organizations' rules; an organization without one may use all.
        disputed: organizations whose newest rules cannot be read: without older ones they may use nothing.
    """
    organization = request.caller.organization_id
    if catalog is None:
        return PolicyDecided(request_id=request.request_id, subject=request.subject, refusal=UNKNOWN_CATALOG)
    if organization in disputed and organization not in policies:
        return PolicyDecided(request_id=request.request_id, subject=request.subject, refusal=_UNKNOWN, policy_version=0)
    policy = policies.get(organization) if organization else None
    of_tool = request.surface is Surface.MCP
    verdict = _of_tool(request, policy) if of_tool else check(request.model, catalog, policy)
    if not verdict.rule and policy and policy.guardrails:
        verdict = _guarded(request, catalog, policy.guardrails) or verdict
    refusal = None
    if verdict.rule:
        metadata: dict[str, str | int | float | bool | None] = {"rule": verdict.rule}
        if policy:
            metadata["policyVersion"] = policy.version
        refusal = Refusal(status=verdict.status, message=verdict.message, metadata=metadata)
    return PolicyDecided(
        request_id=request.request_id,
        subject=request.subject,
        refusal=refusal,
        provider_ids=list(verdict.provider_ids),
        stand_ins={
            model: list(left)
            for model in request.stand_ins
            if not refusal and (left := check(model, catalog, policy).provider_ids)
        },
        policy_version=policy.version if policy else 0,
    )


def _of_tool(request: RequestAccepted, policy: PolicySet | None) -> Verdict:
    """The verdict on a call of an MCP server's tool. Of a list, what may not be called is left out by the relay."""
    server = server_of(request.model)
    rule = refused_by(policy, request.caller.role, server, request.tool) if server and request.tool else None
    if rule is None:
        return Verdict()
    message = f"Your organization does not allow this tool to your role ({rule}); its owner can change that."
    return Verdict(rule=rule, status=403, message=message)


def _guarded(request: RequestAccepted, catalog: Catalog, rules: Guardrails) -> Verdict | None:
    """The refusal of a request by its cost or by a condition; None where nothing refuses it."""
    if rules.max_request_microdollars is None and not rules.conditions:
        return None
    most = most_of(request, catalog.prices_for(request))
    return too_dear(most, rules) or refused_by_condition(request, most, rules)


def most_of(request: RequestAccepted, prices: Sequence[Price]) -> int:
    """The most that a request can cost, in microdollars.

    Args:
        prices: by which it may be charged.
    """
    tokens, quantities = (request.input_tokens_most, request.output_tokens_most), request.quantities_most
    return max((most_microdollars(price, *tokens, quantities) for price in prices), default=0)


def refused_by_condition(request: RequestAccepted, most: int, rules: Guardrails) -> Verdict | None:
    """The refusal by the first condition that holds, or that cannot be decided."""
    known = facts(request, most) if rules.conditions else {}
    for one in rules.conditions:
        rule = f"guardrails.conditions.{one.name}"
        try:
            if not holds(one.refuse_when, known):
                continue
            message = one.message or "Your organization does not allow this request"
        except ConditionError as error:
            message = f"A condition of your organization stands in the way: {error}"
        return Verdict(rule=rule, status=403, message=f"{message.rstrip('.')} ({rule}); its owner can change that.")
    return None


def too_dear(most: int, rules: Guardrails) -> Verdict | None:
    """The refusal of a request that can cost more than one may; None where it cannot.

    Args:
        most: that it can cost, in microdollars.
    """
    limit = rules.max_request_microdollars
    if limit is None or most <= limit:
        return None
    message = (
        f"This request can cost {usd(most)} USD, and your organization allows {usd(limit)}: send less, or set a lower "
        "limit of output tokens."
    )
    return Verdict(rule="guardrails.max_request_usd", status=403, message=message)
