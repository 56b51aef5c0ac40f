"""The catalog as clients read it: models, one model's endpoints, providers, defaults. Pure."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from contracts.control import PolicySet
from libs.config.auto import AutoModel
from libs.config.catalog import Catalog, Offer
from libs.policy.rules import check
from services.ingress.core.listing import Entry, TopProvider, endpoint, entry
from services.ingress.core.parameters import supported_parameters

_OF_ENDPOINTS = frozenset({"id", "name", "created", "description", "architecture"})
_AT_MOST = ("prompt", "completion", "input_cache_read", "input_cache_write", "request", "image")


class CatalogPages:
    """What the pages show. Entries are made once a minute: some prices depend on the hour."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._defaults = catalog.defaults
        self._minute: datetime | None = None
        self._entries: dict[tuple[str, str], Entry] = {}
        self._parameters: dict[tuple[str, str], list[str]] = {}
        known: dict[str, list[str]] = {}
        for model_id in catalog.offers:
            for offer in catalog.all_of(model_id):
                alike = f"{offer.provider!r} {offer.model.surfaces}"
                if alike not in known:
                    known[alike] = supported_parameters(offer.model, offer.provider)
                self._parameters[model_id, offer.provider_id] = known[alike]

    def models(self, now: datetime, policy: PolicySet | None = None) -> dict[str, Any]:
        """``GET /models``: those that a policy leaves, each at the first provider that it leaves."""
        return {"object": "list", "data": self._allowed(now, policy)}

    def model(self, model_id: str, now: datetime, policy: PolicySet | None = None) -> Entry | None:
        """``GET /models/{id}``: one of them as the list has it."""
        if auto := self._catalog.auto.get(model_id):
            return self._auto(model_id, auto, now, policy)
        offer = next(self._offers(model_id, policy), None)
        return self._entry(offer, now) if offer else None

    def endpoints(self, model_id: str, now: datetime) -> dict[str, Any] | None:
        """``GET /models/{id}/endpoints``: where one model runs and for how much; None if it is not served here."""
        offers = self._catalog.all_of(model_id)
        if not offers:
            return None
        shown = self._entry(offers[0], now)
        page = {name: value for name, value in shown.items() if name in _OF_ENDPOINTS}
        return {"data": {**page, "endpoints": [endpoint(offer, self._taken(offer), now) for offer in offers]}}

    def providers(self) -> dict[str, Any]:
        """``GET /providers``: those that models come from."""
        used = {offer.provider_id for model_id in self._catalog.offers for offer in self._catalog.all_of(model_id)}
        return {
            "data": [
                {"name": provider.name or provider_id, "slug": provider_id}
                for provider_id, provider in self._catalog.providers.items()
                if provider_id in used
            ]
        }

    def by_provider(self, now: datetime, policy: PolicySet | None = None) -> dict[str, Any]:
        """``GET /models-by-provider``: the same models, below each provider that has them.

        The form is that of Kilo-Org/cloud, ``NormalizedOpenRouterResponse``, without what only OpenRouter knows.
        """
        groups: dict[str, list[dict[str, Any]]] = {}
        for model_id in self._catalog.offers:
            for offer in self._offers(model_id, policy):
                groups.setdefault(offer.provider_id, []).append(self._in_group(offer, now))
        groups = {provider_id: groups[provider_id] for provider_id in self._catalog.providers if provider_id in groups}
        listed = [self._group(provider_id, models) for provider_id, models in groups.items()]
        return {
            "providers": listed,
            "total_providers": len(listed),
            "total_models": sum(len(group["models"]) for group in listed),
            "generated_at": now.isoformat(),
        }

    def defaults(self, now: datetime, policy: PolicySet | None = None) -> dict[str, str]:
        """``GET /api/defaults``: the models to begin with, of those that a policy leaves. None left: no such field."""
        entries = self._allowed(now, policy)
        names = {one["id"] for one in entries}

        def first(wanted: str | None, *, free: bool) -> str | None:
            if wanted in names:
                return wanted
            return next((one["id"] for one in entries if one["isFree"] or not free), None)

        found = {
            "defaultModel": first(self._defaults.model, free=False),
            "defaultFreeModel": first(self._defaults.free_model, free=True),
        }
        return {name: model for name, model in found.items() if model is not None}

    def _allowed(self, now: datetime, policy: PolicySet | None) -> list[Entry]:
        found = (self.model(name, now, policy) for name in (*self._catalog.offers, *self._catalog.auto))
        return [one for one in found if one is not None]

    def _offers(self, model_id: str, policy: PolicySet | None) -> Iterator[Offer]:
        left = check(model_id, self._catalog, policy).provider_ids
        return (offer for offer in self._catalog.all_of(model_id) if offer.provider_id in left)

    def _entry(self, offer: Offer, now: datetime) -> Entry:
        minute = now.replace(second=0, microsecond=0)
        if minute != self._minute:
            self._minute = minute
            self._entries.clear()
        key = (offer.model.id, offer.provider_id)
        found = self._entries.get(key)
        if found is None:
            found = self._entries[key] = entry(offer, self._taken(offer), minute)
        return found

    def _taken(self, offer: Offer) -> list[str]:
        return self._parameters[offer.model.id, offer.provider_id]

    def _auto(self, name: str, auto: AutoModel, now: datetime, policy: PolicySet | None) -> Entry | None:
        """What holds for all models that a name may stand for: the least context, the highest price."""
        found = [one for model_id in auto.models if (one := self.model(model_id, now, policy))]
        if not found:
            return None
        limits = [one["max_completion_tokens"] for one in found]
        context = min(one["context_length"] for one in found)
        most = min((limit for limit in limits if limit is not None), default=None)
        inputs = [one["architecture"]["input_modalities"] for one in found]
        parameters = [set(one["supported_parameters"]) for one in found]
        takes = [kind for kind in inputs[0] if all(kind in kinds for kinds in inputs)]
        top: TopProvider = {
            "context_length": context,
            "max_completion_tokens": most,
            "is_moderated": any(one["top_provider"]["is_moderated"] for one in found),
        }
        shown: Entry = {
            **found[0],
            "id": name,
            "canonical_slug": name,
            "owned_by": name.partition("/")[0],
            "name": auto.name or name,
            "description": auto.description,
            "context_length": context,
            "max_completion_tokens": most,
            "architecture": {
                **found[0]["architecture"],
                "modality": f"{'+'.join(takes)}->text",
                "input_modalities": takes,
            },
            "supported_parameters": sorted(set.intersection(*parameters)),
            "top_provider": top,
            "isFree": all(one["isFree"] for one in found),
            "mayTrainOnYourPrompts": any(one["mayTrainOnYourPrompts"] for one in found),
            "autoRouting": {"models": [one["id"] for one in found]},
        }
        shown.pop("preferredIndex", None)
        if auto.preferred_index is not None:
            shown["preferredIndex"] = auto.preferred_index
        if all("pricing" in one for one in found):
            shown["pricing"] = {kind: max((one["pricing"][kind] for one in found), key=Decimal) for kind in _AT_MOST}
        return shown

    def _group(self, provider_id: str, models: list[dict[str, Any]]) -> dict[str, Any]:
        name = self._catalog.providers[provider_id].name or provider_id
        kept = any(model["endpoint"]["data_policy"]["training"] for model in models)
        return {
            "name": name,
            "displayName": name,
            "slug": provider_id,
            "dataPolicy": {"training": kept, "retainsPrompts": kept, "canPublish": False},
            "models": models,
        }

    def _in_group(self, offer: Offer, now: datetime) -> dict[str, Any]:
        shown = self._entry(offer, now)
        kept = shown["mayTrainOnYourPrompts"]
        return {
            "slug": shown["id"],
            "name": shown["name"],
            "author": shown["id"].partition("/")[0],
            "description": shown["description"],
            "context_length": shown["context_length"],
            "input_modalities": shown["architecture"]["input_modalities"],
            "output_modalities": shown["architecture"]["output_modalities"],
            "group": shown["architecture"]["tokenizer"],
            "updated_at": datetime.fromtimestamp(shown["created"], now.tzinfo).isoformat(),
            "endpoint": {
                "provider_display_name": offer.provider.name or offer.provider_id,
                "provider_slug": offer.provider_id,
                "is_free": shown["isFree"],
                "pricing": shown.get("pricing"),
                "supported_parameters": shown["supported_parameters"],
                "data_policy": {"training": kept, "retainsPrompts": kept, "canPublish": False},
            },
        }
