"""One request on its way to a provider, with what its version of the catalog says of it. Pure."""

from dataclasses import dataclass

from contracts.guardrails import AnswerRules
from contracts.prices import Price
from contracts.prompts import PromptSubmitted
from contracts.routes import RoutePlanned, Target
from libs.config.catalog import Catalog, Offer
from libs.config.providers import Provider
from services.relay.core.continuation import Continuation


@dataclass(frozen=True, slots=True)
class Job:
    """What one attempt is about."""

    route: RoutePlanned
    prompt: PromptSubmitted
    catalog: Catalog
    rules: AnswerRules | None
    """About the texts of answers, of the client's organization."""
    traceparent: str
    goes_on: Continuation | None = None
    """A stream that was cut, and that this goes on with."""

    @property
    def call(self) -> int:
        """The number of its call: 0, or that of the one that goes on."""
        return self.goes_on.call if self.goes_on else 0

    def offer_of(self, target: Target) -> Offer | None:
        """The target's model at its provider."""
        return self.catalog.offer(target.model or self.route.model, target.provider_id)

    def provider_of(self, target: Target) -> Provider | None:
        """The target's provider, adapted to the model."""
        return self.catalog.at(target.model or self.route.model, target.provider_id)

    def price_of(self, target: Target) -> Price | None:
        """What the target costs."""
        model = target.model or self.route.model
        return self.catalog.price(model, target.provider_id, self.route.accepted_at_ms)

    def left_s(self, now_ms: int) -> float:
        """Until the whole answer must be out."""
        return (self.route.deadline_ms - now_ms) / 1000
