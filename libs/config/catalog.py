"""Models and providers as services look them up. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from libs.config.gateway import AutoModel, GatewayConfig, Model, Provider


@dataclass(frozen=True, slots=True)
class Offer:
    """One model at its provider."""

    model: Model
    provider_id: str
    provider: Provider


class Catalog:
    """All offers by model ID."""

    def __init__(self, config: GatewayConfig) -> None:
        self.auto: Mapping[str, AutoModel] = config.auto
        self.providers: Mapping[str, Provider] = config.providers
        self.offers: Mapping[str, Offer] = {
            model.id: Offer(model, model.provider, config.providers[model.provider]) for model in config.models
        }

    def find(self, model_id: str) -> Offer | None:
        """The offer of a model, if it is served here."""
        return self.offers.get(model_id)
