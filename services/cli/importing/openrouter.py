"""What an OpenRouter account used and has, as a configuration of ours. Pure.

Source: OpenRouter's API reference: ``GET /models``, ``GET /activity``, ``GET /keys``.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from services.cli.importing.budgets import limits_of
from services.cli.importing.found import Found, Known
from services.cli.importing.plan import ImportedKey, Plan

_PRICES = {
    "prompt": "prompt",
    "completion": "completion",
    "input_cache_read": "cache_read",
    "input_cache_write": "cache_write",
}
_EVERY = {"daily": "1d", "weekly": "1w", "monthly": "1mo"}
"""By ``limit_reset``, as `limits_of` knows them: at midnight UTC, weeks from Monday on, as here."""


def models_in(activity: Iterable[Mapping[str, Any]]) -> list[str]:
    """The models that were used, each once, by ``model`` or ``model_permaslug``."""
    named = (row.get("model") or row.get("model_permaslug") for row in activity)
    return list(dict.fromkeys(str(name) for name in named if name))


def imported(wanted: Iterable[str], listed: Iterable[Mapping[str, Any]], known: Known) -> Found:
    """A configuration with these models under the IDs that OpenRouter has for them.

    A model that Sluice knows at its own provider is asked there; any other at OpenRouter, with a key of yours.

    Args:
        listed: the ``data`` of OpenRouter's ``GET /models``, for prices and lengths of the others.
    """
    found, by_id = Found(known), {str(one.get("id")): one for one in listed}
    for model_id in wanted:
        own = [model for model in known.models if model["id"] == model_id]
        for model in own:
            found.providers.setdefault(model["provider"], known.providers[model["provider"]])
            found.add(model, model_id)
        if own:
            continue
        found.providers.setdefault("openrouter", known.providers["openrouter"])
        found.add(_model(model_id, by_id.get(model_id, {})), model_id)
    return found


def _model(model_id: str, listed: Mapping[str, Any]) -> dict[str, Any]:
    model: dict[str, Any] = {"id": model_id, "provider": "openrouter", "upstream_model": model_id}
    pricing = listed.get("pricing") if isinstance(listed.get("pricing"), Mapping) else {}
    prices = {ours: str((pricing or {})[theirs]) for theirs, ours in _PRICES.items() if theirs in (pricing or {})}
    if {"prompt", "completion"} <= prices.keys():
        model["pricing"] = prices
    if listed.get("name"):
        model["name"] = str(listed["name"])
    if isinstance(length := listed.get("context_length"), int):
        model["context_length"] = length
    return model


def keys_of(rows: Iterable[Mapping[str, Any]], email: str) -> Plan:
    """New keys of one account under the names of the old ones, which nobody can read back."""
    plan = Plan(accounts={email: email})
    for row in rows:
        name = str(row.get("name") or row.get("label") or "default")[:100]
        if row.get("disabled"):
            plan.unmapped.append(f"key {name}: it is disabled")
            continue
        budget = {"max_budget": row.get("limit"), "budget_duration": _EVERY.get(str(row.get("limit_reset")))}
        limits, left = limits_of({**budget, "spend": row.get("usage")}, f"key {name}")
        plan.keys.append(ImportedKey(name, email, limits=limits))
        plan.unmapped += left
    return plan
