"""Which key a request is granted."""

import contextlib
from collections.abc import Container, Iterator, Mapping
from functools import partial

from contracts.decisions import CredentialGranted, SealedGrant
from contracts.mcp import MODEL
from contracts.record import Refusal
from contracts.requests import RequestAccepted, Surface
from libs.config.catalog import UNKNOWN_CATALOG, Catalog, Offer
from libs.config.pins import ANYWHERE, Pins
from libs.limits.key_quotas import KeyQuotas
from libs.outbound.hooks import HOOK
from libs.sealing.credentials import at_rest
from libs.sealing.envelope import EnvelopeError, KeyRing
from libs.sealing.grants import Epoch
from libs.sealing.secret import Secret
from services.key_vault.core.book import Credential, CredentialBook
from services.key_vault.core.own_keys import Rests, chosen, own_keys

NO_SERVER = Refusal(
    status=404, message="No MCP server of this name is registered here, or it cannot be opened; register it again."
)
NO_SERVERS = Refusal(
    status=404,
    message="No MCP server is registered here, or none can be opened; `./sluice mcp add` or the console registers one.",
)
AGAIN_S = 60
"""A quota may be of a minute."""


class Granting:
    """Seals keys for each request: the caller's own where there is one, else the gateway's for each provider.

    Where the caller's own key cannot be used the request is refused; the gateway's is never tried instead.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        book: CredentialBook,
        ring: KeyRing,
        rests: Rests | None = None,
        pins: Pins = ANYWHERE,
        quotas: KeyQuotas | None = None,
    ) -> None:
        """
        Args:
            environment: has the gateway's own keys, under the names that providers have for them.
            pins: where keys may go.
            quotas: what the gateway's own keys were used for.
        """
        self._quotas = quotas or KeyQuotas()
        self._pins = pins
        self._environment = environment
        self._book = book
        self._ring = ring
        self._rests = rests or Rests()

    def grant(self, request: RequestAccepted, catalog: Catalog | None, epoch: Epoch) -> CredentialGranted:
        """The decision on one request. A model that nobody serves is policy's affair and gets no grant here.

        Args:
            catalog: that the request names; None: it is not known here.
        """
        granted, hook = self._grant(request, catalog, epoch), self._book.hook(request)
        if hook is None or granted.refusal:
            return granted
        try:
            sealed = self._seal(request, self._open(hook), HOOK, epoch, byok=True)
        except (EnvelopeError, OSError):
            # Without it the relay does what the rules say of a webhook that does not answer.
            return granted
        return granted.model_copy(update={"hook": sealed})

    def _grant(self, request: RequestAccepted, catalog: Catalog | None, epoch: Epoch) -> CredentialGranted:
        if request.surface is Surface.MCP:
            return self._servers(request, epoch)
        if catalog is None:
            return refused(request, UNKNOWN_CATALOG)
        offers = all_offers = catalog.open_to(request)
        if not offers:
            return CredentialGranted(request_id=request.request_id, subject=request.subject)
        offers = tuple(offer for offer in offers if self._pins.allow(offer.provider))
        if not offers:
            return _refused(request, self._pins.refused(all_offers[0].provider_id))
        for offer in offers:
            credential = self._book.find(request, offer.provider_id)
            if credential:
                return self._own(request, credential, offer.provider_id, epoch)
        grants = [grant for offer in offers for grant in self._gateways(request, offer, epoch)]
        if not grants:
            first = offers[0]
            if own_keys(first.provider, self._environment):
                return refused(request, _used_up(first.provider_id))
            return _refused(
                request,
                f"The gateway has no key for the provider {first.provider_id}; its operator can set the environment "
                f"variable {first.provider.api_key_variable} and restart it, or you add your own key.",
            )
        for model in request.stand_ins:
            have = {grant.provider_id for grant in grants}
            grants += self._of_stand_in(request, catalog, model, have, epoch)
        return CredentialGranted(request_id=request.request_id, subject=request.subject, grants=grants)

    def _servers(self, request: RequestAccepted, epoch: Epoch) -> CredentialGranted:
        """Addresses and headers of the MCP servers that a request is for, each sealed whole."""
        grants = []
        for credential in self._book.servers(request):
            # One that does not open is missing from a list, and must not keep the others out of it.
            with contextlib.suppress(EnvelopeError, OSError):
                secret = self._open(credential)
                grants.append(self._seal(request, secret, credential.about.provider_id, epoch, byok=True))
        if not grants:
            return refused(request, NO_SERVERS if request.model == MODEL else NO_SERVER)
        return CredentialGranted(request_id=request.request_id, subject=request.subject, grants=grants)

    def _of_stand_in(
        self, request: RequestAccepted, catalog: Catalog, model: str, have: Container[str], epoch: Epoch
    ) -> Iterator[SealedGrant]:
        """Keys that are not there yet: the caller's own where there is one. One that does not open is passed over."""
        for offer in catalog.open_to(request, model):
            provider_id = offer.provider_id
            if provider_id in have or not self._pins.allow(offer.provider):
                continue
            credential = self._book.find(request, provider_id)
            if credential:
                with contextlib.suppress(EnvelopeError, OSError):
                    yield self._seal(request, self._open(credential), provider_id, epoch, byok=True)
            else:
                yield from self._gateways(request, offer, epoch)

    def _gateways(self, request: RequestAccepted, offer: Offer, epoch: Epoch) -> Iterator[SealedGrant]:
        """The gateway's keys for a provider, the first to be tried first; none where it has none."""
        # The time of its acceptance: whoever decides it again decides alike.
        keys, now_ms = own_keys(offer.provider, self._environment), request.accepted_at_ms
        if quotas := offer.provider.quotas:
            used_up = partial(self._quotas.exhausted, offer.provider_id)
            keys = [key for key in keys if not used_up(key.variable, quotas.get(key.variable, {}), now_ms)]
        if keys:
            affinity = f"{request.caller.owner}/{request.task_id or request.request_id}"
            for key in chosen(keys, offer.provider_id, affinity, self._rests, now_ms):
                yield self._seal(request, key.secret, offer.provider_id, epoch, byok=False, key=key.number)

    def _own(
        self, request: RequestAccepted, credential: Credential, provider_id: str, epoch: Epoch
    ) -> CredentialGranted:
        """The caller's own key, and no other: it is never fallen back from."""
        try:
            secret = self._open(credential)
        except (EnvelopeError, OSError):
            return _refused(request, f"Your own key for {provider_id} cannot be opened; store it again.")
        grant = self._seal(request, secret, provider_id, epoch, byok=True)
        return CredentialGranted(request_id=request.request_id, subject=request.subject, grants=[grant])

    def _seal(
        self, request: RequestAccepted, secret: Secret, provider_id: str, epoch: Epoch, *, byok: bool, key: int = 0
    ) -> SealedGrant:
        return epoch.seal(
            secret,
            request_id=request.request_id,
            provider_id=provider_id,
            expires_at_ms=request.deadline_ms,
            byok=byok,
            key=key,
        )

    def _open(self, credential: Credential) -> Secret:
        data = at_rest(credential.about.owner, credential.about.provider_id)
        return Secret(self._ring.open(credential.envelope, data).decode())


def refused(request: RequestAccepted, refusal: Refusal) -> CredentialGranted:
    """No key for a request."""
    return CredentialGranted(request_id=request.request_id, subject=request.subject, refusal=refusal)


def _used_up(provider_id: str) -> Refusal:
    return Refusal(
        status=503,
        message=f"The gateway's keys for {provider_id} have used up their quotas; try again later, or another model.",
        retry_after_s=AGAIN_S,
    )


def _refused(request: RequestAccepted, message: str) -> CredentialGranted:
    return refused(request, Refusal(status=503, message=message))
