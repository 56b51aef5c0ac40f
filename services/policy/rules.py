"""May this caller use this model? A pure function of the request, the catalog and the organization's policy."""

from collections.abc import Container, Mapping
from fnmatch import fnmatchcase

from contracts.control import PolicySet
from contracts.decisions import PolicyDecided
from contracts.record import Refusal
from contracts.requests import RequestAccepted


def decide(
    request: RequestAccepted, providers_of: Mapping[str, list[str]], policies: Mapping[str, PolicySet]
) -> PolicyDecided:
    """The verdict on one request.

    Args:
        providers_of: the provider IDs that serve each model ID.
        policies: the organizations' rules; an organization without one may use all.
    """
    providers = providers_of.get(request.model)
    if providers is None:
        return _refused(
            request, 0, 400, f"The model {request.model!r} is not served here; GET /models lists those that are."
        )
    organization = request.caller.organization_id
    policy = policies.get(organization) if organization else None
    if policy is None:
        return PolicyDecided(request_id=request.request_id, provider_ids=providers)
    if policy.model_allow is not None and not allows(policy.model_allow, request.model):
        return _refused(
            request,
            policy.version,
            403,
            f"The model {request.model!r} is not on your organization's model allow list; its owner can change that.",
        )
    if policy.provider_allow is not None:
        providers = _allowed(providers, policy.provider_allow)
        if not providers:
            return _refused(
                request,
                policy.version,
                403,
                f"No provider of {request.model!r} is on your organization's provider allow list; "
                "its owner can change that.",
            )
    return PolicyDecided(request_id=request.request_id, provider_ids=providers, policy_version=policy.version)


def allows(patterns: list[str], model: str) -> bool:
    """True if one of the patterns (exact, or with ``*``) names the model; case does not matter."""
    name = model.lower()
    return any(fnmatchcase(name, _literal_brackets(pattern.lower())) for pattern in patterns)


def _literal_brackets(pattern: str) -> str:
    # Only "*" is a wildcard here; fnmatch also knows "?" and "[...]".
    return pattern.replace("[", "[[]").replace("?", "[?]")


def _allowed(providers: list[str], allow: Container[str]) -> list[str]:
    return [provider for provider in providers if provider in allow]


def _refused(request: RequestAccepted, version: int, status: int, message: str) -> PolicyDecided:
    return PolicyDecided(
        request_id=request.request_id, policy_version=version, refusal=Refusal(status=status, message=message)
    )
