"""May this caller use this model? A pure function of the request, the catalog and the organization's policy."""

from collections.abc import Collection, Mapping, Sequence

from contracts.control import PolicySet
from contracts.decisions import PolicyDecided
from contracts.guardrails import Guardrails
from contracts.prices import Price
from contracts.record import Refusal
from contracts.requests import RequestAccepted
from libs.config.catalog import UNKNOWN_CATALOG, Catalog
from libs.policy.rules import Verdict, check
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
    verdict = check(request.model, catalog, policy)
    if not verdict.rule and policy and policy.guardrails:
        verdict = too_dear(request, catalog.prices_for(request), policy.guardrails) or verdict
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


def too_dear(request: RequestAccepted, prices: Sequence[Price], rules: Guardrails) -> Verdict | None:
    """The refusal of a request that can cost more than one may; None where it cannot.

    Args:
        prices: by which it may be charged.
    """
    limit = rules.max_request_microdollars
    if limit is None:
        return None
    most = max(
        (
            most_microdollars(price, request.input_tokens_most, request.output_tokens_most, request.quantities_most)
            for price in prices
        ),
        default=0,
    )
    if most <= limit:
        return None
    message = (
        f"This request can cost {usd(most)} USD, and your organization allows {usd(limit)}: send less, or set a lower "
        "limit of output tokens."
    )
    return Verdict(rule="guardrails.max_request_usd", status=403, message=message)
