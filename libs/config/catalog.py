"""Models and providers as services look them up. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from contracts.requests import RequestAccepted
from libs.config.auto import AutoModel
from libs.config.gateway import GatewayConfig, Model, Provider


@dataclass(frozen=True, slots=True)
class Offer:
    """One model at its provider."""

    model: Model
    provider_id: str
    provider: Provider
    """Adapted to the model."""


class Catalog:
    """All offers by model ID; ``offers`` has the first of each."""

    def __init__(self, config: GatewayConfig) -> None:
        self.auto: Mapping[str, AutoModel] = config.auto
        self.providers: Mapping[str, Provider] = config.providers
        self._all: dict[str, tuple[Offer, ...]] = {}
        for model in config.models:
            offer = Offer(model, model.provider, model.adapt(config.providers[model.provider]))
            self._all[model.id] = (*self._all.get(model.id, ()), offer)
        self.offers: Mapping[str, Offer] = {model_id: offers[0] for model_id, offers in self._all.items()}
        self.by_o200k = {
            model_id
            for model_id, offers in self._all.items()
            if all(offer.model.counted_by == "o200k" for offer in offers)
        }
        """Models whose text all their providers count by that tokenizer."""

    def find(self, model_id: str) -> Offer | None:
        """The first offer of a model, if it is served here."""
        return self.offers.get(model_id)

    def all_of(self, model_id: str) -> tuple[Offer, ...]:
        """A model at all its providers, as they are configured."""
        return self._all.get(model_id, ())

    def open_to(self, request: RequestAccepted, model: str | None = None) -> tuple[Offer, ...]:
        """A request's model, or one that stands in for it, at the providers that its client's preferences leave."""
        offers = self.all_of(model or request.model)
        if not request.chooses:
            return offers
        return tuple(
            offer
            for offer in offers
            if (not request.provider_only or offer.provider_id in request.provider_only)
            and offer.provider_id not in request.provider_ignore
            and not (request.deny_data_collection and offer.model.data_collection == "allow")
        )

    def at(self, model_id: str, provider_id: str) -> Provider | None:
        """A provider, adapted to one of its models; unadapted where it does not have the model."""
        for offer in self.all_of(model_id):
            if offer.provider_id == provider_id:
                return offer.provider
        return self.providers.get(provider_id)
