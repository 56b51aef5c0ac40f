"""A configuration as it is put together from another gateway's. Pure."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from libs.config.catalog import Offer
from libs.config.gateway import DEFAULT_FILE
from libs.config.providers import Model, Provider
from libs.pricing.book import NoPriceError, rules_of

NOTHING = {"prompt": "0", "completion": "0"}
"""The price of what runs on a machine of one's own."""


@dataclass(slots=True)
class Known:
    """The providers and models that Sluice comes with, as its file has them."""

    providers: dict[str, dict[str, Any]]
    models: list[dict[str, Any]]

    @classmethod
    def read(cls, path: Path = DEFAULT_FILE) -> "Known":
        """Of a configuration file."""
        content = yaml.safe_load(path.read_text())
        return cls(content["providers"], content["models"])

    def model(self, provider_id: str, upstream_model: str) -> dict[str, Any] | None:
        """What is known of a provider's model."""
        for model in self.models:
            if (model["provider"], model["upstream_model"]) == (provider_id, upstream_model):
                return model
        return None


@dataclass(slots=True)
class Found:
    """The parts of a configuration, and what could not be said in it."""

    known: Known
    providers: dict[str, dict[str, Any]] = field(default_factory=dict)
    models: list[dict[str, Any]] = field(default_factory=list)
    auto: dict[str, dict[str, Any]] = field(default_factory=dict)
    others: dict[str, Any] = field(default_factory=dict)
    """Sections, as they are written."""
    to_do: list[str] = field(default_factory=list)
    """What somebody has to do before it works."""
    unmapped: list[str] = field(default_factory=list)
    """What was there and is not here, and what to use instead."""

    def add(self, model: dict[str, Any], where: str) -> bool:
        """Adds a model at a provider that is there; False where it has no price, and so could not be charged."""
        if any((one["id"], one["provider"]) == (model["id"], model["provider"]) for one in self.models):
            self.unmapped.append(f"{where}: a second deployment of {model['id']} at {model['provider']}")
            return False
        try:
            made = Model.model_validate(model)
            provider = Provider.model_validate(self.providers[model["provider"]])
            if not made.free:
                rules_of(Offer(made, made.provider, made.adapt(provider)))
        except NoPriceError:
            self.unmapped.append(
                f"{where}: no price is known of {model['upstream_model']} at {model['provider']}; add it with "
                '`pricing: {prompt: "…", completion: "…"}` (USD per token)'
            )
            return False
        except ValidationError as error:
            self.unmapped.append(f"{where}: {error.errors()[0]['msg']}")
            return False
        self.models.append(model)
        return True

    def name(self, alias: str, model_id: str) -> None:
        """Another name of a model."""
        if alias != model_id:
            self.auto[alias] = {"default": model_id}

    def document(self, source: str) -> str:
        """The configuration file."""
        used = {model["provider"] for model in self.models}
        content: dict[str, Any] = {
            "providers": {name: provider for name, provider in self.providers.items() if name in used},
            "models": self.models,
            **({"auto": self.auto} if self.auto else {}),
            **self.others,
        }
        variables = sorted({str(one["api_key"]) for one in content["providers"].values() if one.get("api_key")})
        head = [f"# Made by `./sluice import` from {source}. Start with ./sluice up --config THIS_FILE"]
        head += [f"# Set: {', '.join(name.removeprefix('env:') for name in variables)}"] if variables else []
        text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=160)
        return "\n".join(head) + "\n" + text
