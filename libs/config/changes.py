"""What is different between two versions of the catalog, in words that a person compares. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from contracts.catalog import CatalogPublished
from contracts.prices import PriceRule
from libs.config.gateway import GatewayConfig

_EXPONENT = re.compile(r"^\d+(\.\d+)?[eE]-\d+\Z")
"""As JSON has small prices."""
_BY_NAME = ("providers", "auto")


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. None: it is not there."""

    what: str
    """``providers.openai.base_url``, ``models.openai/gpt-5@openai.context_length``, ``prices.openai/gpt-5@openai``."""
    before: str | None
    after: str | None


def changes(before: CatalogPublished | None, after: CatalogPublished) -> list[Change]:
    """All differences, in the order of their names."""
    old, new = _flat(before) if before else {}, _flat(after)
    return [
        Change(name, old.get(name), new.get(name))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def only_at_start(running: GatewayConfig, wanted: GatewayConfig, versioned: tuple[str, ...]) -> list[str]:
    """Sections of a file that a version does not have, and that differ from what runs: they need a start."""
    return [
        name
        for name in GatewayConfig.model_fields
        if name not in versioned and getattr(running, name) != getattr(wanted, name)
    ]


def _flat(version: CatalogPublished) -> dict[str, str]:
    found: dict[str, str] = {}
    for section, content in version.document.items():
        if section == "models":
            for model in content:
                name = f"models.{model['id']}@{model['provider']}"
                # That it is there at all is an entry, too.
                found |= {name: "there"} | _entries(name, model, without=("id", "provider"))
        elif section in _BY_NAME:
            for name, value in content.items():
                found |= _entries(f"{section}.{name}", value)
        else:
            found |= _entries(section, content)
    for model_id, providers in version.prices.items():
        for provider_id, rules in providers.items():
            found[f"prices.{model_id}@{provider_id}"] = "; ".join(map(_price, rules))
    return found


def _entries(name: str, value: Any, without: tuple[str, ...] = ()) -> dict[str, str]:
    if isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
        value = {str(number): one for number, one in enumerate(value, 1)}
    if not isinstance(value, Mapping):
        return {name: ", ".join(map(_plain, value)) if isinstance(value, list) else _plain(value)}
    found: dict[str, str] = {}
    for key, one in value.items():
        if key not in without:
            found |= _entries(f"{name}.{key}", one)
    return found


def _plain(value: Any) -> str:
    text = str(value)
    return f"{Decimal(text):f}" if _EXPONENT.match(text) else text


def _price(rule: PriceRule) -> str:
    return ", ".join(_parts(rule))


def _parts(rule: PriceRule) -> Iterator[str]:
    for rates in rule.price.tiers:
        above = f" above {rates.above_input_tokens} tokens" if rates.above_input_tokens else ""
        kinds = rates.model_dump(exclude={"above_input_tokens"}, exclude_none=True)
        yield " ".join(f"{kind} {rate / 1_000_000:g}" for kind, rate in kinds.items()) + above + " USD/M"
    for unit in rule.price.units:
        yield f"{unit.unit}{'/' + unit.kind if unit.kind else ''} {unit.rate / 10**12:g} USD"
    if rule.from_ms:
        yield f"from {rule.from_ms}"
    if rule.daily_from_s is not None:
        yield f"daily {rule.daily_from_s}-{rule.daily_until_s} s"
