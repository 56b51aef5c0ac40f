"""The part of the configuration that has versions: what is served, for whom, and at which price."""

from typing import Any

from pydantic import model_validator

from libs.config.auto import AutoModel
from libs.config.defaults import Defaults
from libs.config.gateway import Billing, GatewayConfig, Limits, Routing, StandIns, broken_references
from libs.config.providers import Model, Provider
from libs.config.section import Section


class CatalogDocument(Section):
    """Of one version. What else a `GatewayConfig` has belongs to a deployment, and is read at the start."""

    providers: dict[str, Provider] = {}
    models: list[Model] = []
    auto: dict[str, AutoModel] = {}
    fallbacks: dict[str, StandIns] = {}
    defaults: Defaults = Defaults()
    limits: Limits = Limits()
    billing: Billing = Billing()
    routing: Routing = Routing()

    @model_validator(mode="after")
    def _references_exist(self) -> "CatalogDocument":
        for _where, problem in broken_references(self):
            raise ValueError(problem)
        return self


SECTIONS = tuple(CatalogDocument.model_fields)


def document_of(config: GatewayConfig) -> dict[str, Any]:
    """The sections that have versions, as plain values without defaults: what `CatalogDocument` reads."""
    found: dict[str, Any] = config.model_dump(mode="json", include=set(SECTIONS), exclude_defaults=True)
    return found
