"""Models, providers and prices of one version, as services look them up. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contracts.catalog import CatalogPublished
from contracts.prices import Price, PriceRule, price_at
from contracts.record import Refusal
from contracts.requests import RequestAccepted
from libs.config.auto import AutoModel
from libs.config.document import CatalogDocument
from libs.config.gateway import HasCatalog
from libs.config.providers import Encoding, Model, Provider

UNKNOWN_CATALOG = Refusal(
    status=503,
    message="The request was accepted under a catalog that is not known here, or no longer served; try again.",
    retry_after_s=1,
)
Prices = Mapping[str, Mapping[str, Sequence[PriceRule]]]
"""By model, then provider."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One model at its provider."""

    model: Model
    provider_id: str
    provider: Provider
    """Adapted to the model."""
    prices: Sequence[PriceRule] = ()

    def price_at(self, at_ms: int) -> Price | None:
        """Its price at a time (epoch, ms); None where it has none, as free models."""
        return price_at(self.prices, at_ms)


class Catalog:
    """All offers by model ID; ``offers`` has the first of each."""

    def __init__(self, config: HasCatalog, prices: Prices | None = None, *, version: int = 1) -> None:
        self.version = version
        self.auto: Mapping[str, AutoModel] = config.auto
        self.providers: Mapping[str, Provider] = config.providers
        self.fallbacks: Mapping[str, Sequence[str]] = config.fallbacks
        self.defaults, self.limits = config.defaults, config.limits
        self.billing, self.routing = config.billing, config.routing
        self._all: dict[str, tuple[Offer, ...]] = {}
        for model in config.models:
            rules = (prices or {}).get(model.id, {}).get(model.provider, ())
            offer = Offer(model, model.provider, model.adapt(config.providers[model.provider]), rules)
            self._all[model.id] = (*self._all.get(model.id, ()), offer)
        self.offers: Mapping[str, Offer] = {model_id: offers[0] for model_id, offers in self._all.items()}
        self.counted_by: Mapping[str, Encoding] = {
            model_id: encoding
            for model_id, offers in self._all.items()
            if (encoding := offers[0].model.counted_by) and all(one.model.counted_by == encoding for one in offers)
        }
        """Models whose text all their providers count by one tokenizer."""

    @classmethod
    def of(cls, record: CatalogPublished) -> "Catalog":
        """The catalog of a published version.

        Raises:
            pydantic.ValidationError: the document is of a newer form than this program reads.
        """
        return cls(CatalogDocument.model_validate(record.document), record.prices, version=record.version)

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

    def offer(self, model_id: str, provider_id: str) -> Offer | None:
        """A model at one provider."""
        return next((offer for offer in self.all_of(model_id) if offer.provider_id == provider_id), None)

    def at(self, model_id: str, provider_id: str) -> Provider | None:
        """A provider, adapted to one of its models; unadapted where it does not have the model."""
        offer = self.offer(model_id, provider_id)
        return offer.provider if offer else self.providers.get(provider_id)

    def price(self, model_id: str, provider_id: str | None, at_ms: int) -> Price | None:
        """What a model costs at a provider at a time (epoch, ms)."""
        offer = self.offer(model_id, provider_id) if provider_id else None
        return offer.price_at(at_ms) if offer else None

    def prices_for(self, request: RequestAccepted) -> list[Price]:
        """What may be charged for a request: the prices of its model, and of those that stand in for it. None where its
        own model has none."""
        own = self.prices_of(request.model, request.accepted_at_ms)
        others = [price for model in request.stand_ins for price in self.prices_of(model, request.accepted_at_ms)]
        return own and own + others

    def prices_of(self, model_id: str, at_ms: int) -> list[Price]:
        """What a model costs at those of its providers that have a price for it."""
        return [price for offer in self.all_of(model_id) if (price := offer.price_at(at_ms))]
