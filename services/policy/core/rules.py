"""May this caller use this model? A pure function of the request, the catalog and the organization's policy."""

from collections.abc import Mapping

from contracts.control import PolicySet
from contracts.decisions import PolicyDecided
from contracts.record import Refusal
from contracts.requests import RequestAccepted
from libs.config.catalog import Catalog
from libs.policy.rules import check


def decide(request: RequestAccepted, catalog: Catalog, policies: Mapping[str, PolicySet]) -> PolicyDecided:
    """The verdict on one request.

    Args:
        policies: the organizations' rules; an organization without one may use all.
    """
    organization = request.caller.organization_id
    policy = policies.get(organization) if organization else None
    verdict = check(request.model, catalog, policy)
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
        policy_version=policy.version if policy else 0,
    )
