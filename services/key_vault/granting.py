"""Which keys a request is granted."""

from collections.abc import Mapping

from contracts.decisions import CredentialGranted
from contracts.record import Refusal
from contracts.requests import RequestAccepted
from libs.config.catalog import Catalog
from libs.sealing.grants import EpochKey
from libs.sealing.secret import Secret


def grant(
    request: RequestAccepted, catalog: Catalog, own_keys: Mapping[str, Secret], epoch: EpochKey
) -> CredentialGranted:
    """Seals the gateway's own key of the model's provider for this request.

    A model that nobody serves is policy's affair and gets no grant and no refusal here.

    Args:
        own_keys: the gateway's keys by provider ID; an empty one is for providers that want none.
    """
    offer = catalog.find(request.model)
    if offer is None:
        return CredentialGranted(request_id=request.request_id)
    secret = own_keys.get(offer.provider_id)
    if secret is None:
        return CredentialGranted(
            request_id=request.request_id,
            refusal=Refusal(
                status=503,
                message=f"The gateway has no key for the provider {offer.provider_id}; "
                f"its operator can set the environment variable {offer.provider.api_key_variable} and restart it.",
            ),
        )
    sealed = epoch.seal(
        secret,
        request_id=request.request_id,
        provider_id=offer.provider_id,
        expires_at_ms=request.deadline_ms,
    )
    return CredentialGranted(request_id=request.request_id, grants=[sealed])


def own_keys(catalog: Catalog, environment: Mapping[str, str]) -> dict[str, Secret]:
    """The gateway's own keys, as far as the environment has them."""
    keys: dict[str, Secret] = {}
    for provider_id, provider in catalog.providers.items():
        variable = provider.api_key_variable
        if variable is None:
            keys[provider_id] = Secret("")
        elif environment.get(variable):
            keys[provider_id] = Secret(environment[variable])
    return keys
