"""May this model be used under these rules, and by which providers? A pure function of catalog and policy."""

from collections.abc import Container
from dataclasses import dataclass

from contracts.control import PolicySet
from libs.config.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which providers are left; with none, which rule refused, and the message for the client."""

    provider_ids: tuple[str, ...] = ()
    rule: str | None = None
    """``model``, ``model_allow``, ``provider_allow`` or ``data_collection``; None where the model may be used."""
    status: int = 200
    message: str = ""


def check(model: str, catalog: Catalog, policy: PolicySet | None) -> Verdict:
    """The verdict on a model under an organization's policy; None allows all."""
    offer = catalog.find(model)
    if offer is None:
        return Verdict(rule="model", status=400, message=unknown_model(model))
    providers = tuple(one.provider_id for one in catalog.all_of(model))
    if policy is None:
        return Verdict(providers)
    if policy.models is not None and not policy.models.match(model):
        return _refused("model_allow", f"The model {model!r} is not on your organization's model allow list")
    if policy.data_collection == "deny" and offer.model.data_collection == "allow":
        return _refused(
            "data_collection",
            f"The provider of {model!r} keeps what it is sent, which your organization's policy does not allow",
        )
    if policy.provider_allow is not None:
        providers = _allowed(providers, policy.provider_allow)
        if not providers:
            return _refused("provider_allow", f"No provider of {model!r} is on your organization's provider allow list")
    return Verdict(providers)


def unknown_model(model: str) -> str:
    """The message sent to its client."""
    return f"The model {model!r} is not served here; GET /models lists those that are."


def daily_limit(policy: PolicySet | None, account_id: str | None) -> int | None:
    """What a member may spend a day, in microdollars; None without a limit."""
    if policy is None:
        return None
    return policy.member_daily_limits.get(account_id or "", policy.member_daily_limit_microdollars)


def _allowed(providers: tuple[str, ...], allow: Container[str]) -> tuple[str, ...]:
    return tuple(provider for provider in providers if provider in allow)


def _refused(rule: str, what: str) -> Verdict:
    return Verdict(rule=rule, status=403, message=f"{what}; its owner can change that.")
