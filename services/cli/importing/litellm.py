"""LiteLLM's ``config.yaml`` as a configuration of ours. Pure.

Source: LiteLLM, "All settings" and "Proxy config.yaml"; providers by their prefixes of ``litellm_params.model``.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from contracts.requests import MOST_RETRIES, MOST_STAND_INS
from services.cli.importing.found import NOTHING, Found, Known

_PROVIDERS = {
    "openai": "openai",
    "text-completion-openai": "openai",
    "azure": "azure",
    "azure_ai": "azure",
    "anthropic": "anthropic",
    "gemini": "google",
    "vertex_ai": "vertex",
    "bedrock": "bedrock",
    "bedrock_converse": "bedrock",
    "mistral": "mistral",
    "codestral": "codestral",
    "groq": "groq",
    "together_ai": "together",
    "fireworks_ai": "fireworks",
    "deepseek": "deepseek",
    "cohere": "cohere",
    "cohere_chat": "cohere",
    "openrouter": "openrouter",
    "xai": "xai",
    "zai": "zai",
    "minimax": "minimax",
    "nvidia_nim": "nvidia-byok",
    "ollama": "ollama",
    "ollama_chat": "ollama",
    "hosted_vllm": "vllm",
    "vllm": "vllm",
    "lm_studio": "lmstudio",
}
_OWN_MACHINES = frozenset({"ollama", "vllm", "lmstudio"})
_FAMILIES = (("claude", "anthropic"), ("gemini", "google"), ("mistral", "mistral"))
"""What a model without a prefix is; others are OpenAI's."""
_PARAMS = frozenset({"model", "api_key", "api_base", "base_url", "input_cost_per_token", "output_cost_per_token"})
_INSTEAD = {
    "weight": "providers of a model are ordered by price, latency and health (`routing.sort`)",
    "order": "list the models in this order, with `routing: {sort: configured}`",
    "rpm": "limits are of accounts, organizations, members and models (`limits:`)",
    "tpm": "limits are of accounts, organizations, members and models (`limits:`)",
    "api_version": "Azure's v1 API needs none",
    "timeout": "`timeouts:` holds for all models",
    "stream_timeout": "`timeouts.first_byte_s` and `timeouts.idle_s` hold for all models",
    "vertex_project": "the key is the service account's JSON file, in VERTEX_SERVICE_ACCOUNT",
    "vertex_location": "the location stands in the provider's `base_url`",
    "vertex_credentials": "the key is the service account's JSON file, in VERTEX_SERVICE_ACCOUNT",
    "aws_access_key_id": "the key is JSON with access key, secret and region, or a Bedrock API key",
    "aws_secret_access_key": "the key is JSON with access key, secret and region, or a Bedrock API key",
    "aws_region_name": "the region is that of the key, or stands in the provider's `base_url`",
}
_SETTINGS = {
    "drop_params": "always so: `x-sluice-dropped` names what a provider was not sent",
    "callbacks": "spans go where OTEL_EXPORTER_OTLP_ENDPOINT says; charges are on billing.charges.v1",
    "success_callback": "spans go where OTEL_EXPORTER_OTLP_ENDPOINT says; charges are on billing.charges.v1",
    "failure_callback": "spans go where OTEL_EXPORTER_OTLP_ENDPOINT says; charges are on billing.charges.v1",
    "master_key": "`./sluice up` draws an operator token of its own",
    "database_url": "keys and teams: `--keys`, `--teams` and `--users` (docs/migration/litellm.md)",
    "max_budget": "credit is prepaid, by account or organization: `./sluice credit add`",
    "budget_duration": "daily limits of members are in policies: `./sluice policy set`",
    "routing_strategy": "`routing.sort`: price, latency, throughput or configured",
    "redis_host": "state is on the log; there is no Redis",
    "redis_port": "state is on the log; there is no Redis",
    "redis_password": "state is on the log; there is no Redis",
    "store_model_in_db": "models stand in the configuration file",
    "alerting": "`./sluice credit settings --alert-below`; events are on billing.credit.v1",
}
_FALLBACKS = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")
_HANDLED = frozenset(
    {"model_group_alias", "request_timeout", "timeout", "max_request_size_mb", "num_retries", "cache", *_FALLBACKS}
)
_SECTIONS = ("litellm_settings", "router_settings", "general_settings")
_KNOWN_SECTIONS = frozenset({"model_list", "environment_variables", *_SECTIONS})


def imported(content: Mapping[str, Any], known: Known) -> Found:
    """The configuration of a LiteLLM proxy; every key that it holds in the clear stays where it is."""
    found = Found(known)
    groups: dict[str, str] = {}
    for number, entry in enumerate(content.get("model_list") or ()):
        if isinstance(entry, Mapping) and isinstance(entry.get("litellm_params"), Mapping):
            _deployment(found, groups, entry, f"model_list[{number}] {entry.get('model_name')}")
        else:
            found.unmapped.append(f"model_list[{number}]: it has no litellm_params")
    for section in _SECTIONS:
        settings = content.get(section)
        if isinstance(settings, Mapping):
            _settings(found, groups, section, settings)
    if isinstance(variables := content.get("environment_variables"), Mapping) and variables:
        found.to_do.append(f"set in the environment: {', '.join(map(str, variables))} (their values were not copied)")
    for section in content.keys() - _KNOWN_SECTIONS:
        found.unmapped.append(f"{section}: there is no such section here")
    return found


def _deployment(found: Found, groups: dict[str, str], entry: Mapping[str, Any], where: str) -> None:
    params: Mapping[str, Any] = entry["litellm_params"]
    info = entry.get("model_info") if isinstance(entry.get("model_info"), Mapping) else {}
    name = str(entry.get("model_name") or params.get("model"))
    prefix, upstream = _split(str(params.get("model") or ""))
    if prefix not in _PROVIDERS:
        found.unmapped.append(
            f"{where}: the provider {prefix!r} is not known; one that speaks chat completions is data"
        )
        return
    provider_id = _provider(found, prefix, params, where)
    if "*" in upstream:
        for one in found.known.models:
            if one["provider"] == _PROVIDERS[prefix]:
                found.add({**one, "provider": provider_id}, where)
        return
    base = found.known.model(_PROVIDERS[prefix], upstream)
    model_id = groups.get(name) or (base["id"] if base else name if "/" in name else f"{provider_id}/{name}")
    model: dict[str, Any] = {**(base or {}), "id": re.sub(r"\s", "-", model_id), "provider": provider_id}
    model["upstream_model"] = upstream
    _describe(model, params, info or {}, own=_PROVIDERS[prefix] in _OWN_MACHINES)
    if found.add(model, where):
        groups.setdefault(name, model["id"])
        found.name(name, groups[name])
    for field in sorted(params.keys() - _PARAMS):
        found.unmapped.append(f"{where}: {field}" + (f": {_INSTEAD[field]}" if field in _INSTEAD else ""))


def _split(model: str) -> tuple[str, str]:
    prefix, slash, rest = model.partition("/")
    if slash and (prefix in _PROVIDERS or "/" in rest):
        # ``bedrock/converse/…`` names a route of LiteLLM's.
        return prefix, rest.removeprefix("converse/") if prefix == "bedrock" else rest
    if slash:
        return prefix, rest
    family = next((provider for begin, provider in _FAMILIES if model.startswith(begin)), "openai")
    return {"google": "gemini"}.get(family, family), model


def _provider(found: Found, prefix: str, params: Mapping[str, Any], where: str) -> str:
    """The provider's ID; one with another address or key has one of its own."""
    known_id = _PROVIDERS[prefix]
    provider = dict(found.known.providers[known_id])
    base = params.get("api_base") or params.get("base_url")
    variable = _variable(base)
    if variable:
        found.to_do.append(f"{where}: write the address that is in {variable} as `base_url` of {known_id}")
    elif base:
        provider["base_url"] = _base_url(str(base), known_id)
        if not urlsplit(str(base)).scheme.startswith("http"):
            found.to_do.append(f"{where}: {known_id} needs an address that begins with http")
    key = params.get("api_key")
    if name := _variable(key):
        provider["api_key"] = f"env:{name}"
    elif key:
        fallback = str(provider.get("api_key") or f"env:{re.sub('[^A-Z0-9]', '_', known_id.upper())}_API_KEY")
        provider["api_key"] = fallback
        found.to_do.append(f"{where}: put the key that stands in the file into {fallback.removeprefix('env:')}")
    for number in range(1, 1_000):
        provider_id = known_id if number == 1 else f"{known_id}-{number}"
        if found.providers.setdefault(provider_id, provider) == provider:
            return provider_id
    raise ValueError("more than a thousand addresses of one provider")


def _base_url(base: str, provider_id: str) -> str:
    base = base.rstrip("/")
    if provider_id == "azure" and "/openai" not in base:
        return f"{base}/openai/v1"
    return f"{base}/v1" if provider_id == "ollama" and not base.endswith("/v1") else base


def _variable(value: Any) -> str | None:
    found = re.fullmatch(r"os\.environ/([A-Za-z_][A-Za-z0-9_]*)", value) if isinstance(value, str) else None
    return found[1] if found else None


def _describe(model: dict[str, Any], params: Mapping[str, Any], info: Mapping[str, Any], *, own: bool) -> None:
    given = {**info, **params}
    prices = {
        ours: _decimal(given[theirs])
        for theirs, ours in (
            ("input_cost_per_token", "prompt"),
            ("output_cost_per_token", "completion"),
            ("cache_read_input_token_cost", "cache_read"),
            ("cache_creation_input_token_cost", "cache_write"),
        )
        if isinstance(given.get(theirs), int | float)
    }
    if {"prompt", "completion"} <= prices.keys():
        model["pricing"] = prices
    elif own and "pricing" not in model:
        model["pricing"] = NOTHING
    if isinstance(most := info.get("max_input_tokens"), int):
        model["context_length"] = most
    if isinstance(most := info.get("max_output_tokens"), int):
        model["max_completion_tokens"] = most


def _decimal(value: float) -> str:
    return f"{value:.15f}".rstrip("0").rstrip(".")


def _settings(found: Found, groups: Mapping[str, str], section: str, settings: Mapping[str, Any]) -> None:
    for name, value in settings.items():
        if value is None or value is False or name in _HANDLED or name == "cache_params":
            continue
        found.unmapped.append(f"{section}.{name}" + (f": {_SETTINGS[name]}" if name in _SETTINGS else ""))
    aliases = settings.get("model_group_alias")
    for alias, wanted in aliases.items() if isinstance(aliases, Mapping) else ():
        target = str(wanted.get("model") if isinstance(wanted, Mapping) else wanted)
        if target in groups:
            found.name(str(alias), groups[target])
        else:
            found.unmapped.append(f"{section}.model_group_alias.{alias}: there is no model {target!r}")
    for field in _FALLBACKS:
        _stand_ins(found, groups, settings.get(field), f"{section}.{field}")
    if isinstance(times := settings.get("num_retries"), int) and times > 0:
        found.others["routing"] = {"retries": min(times, MOST_RETRIES)}
    if settings.get("cache") is True:
        found.others["answer_cache"] = {"enabled": True}
        if settings.get("cache_params"):
            found.unmapped.append(f"{section}.cache_params: answers are in the relays' memory (docs/answer-cache.md)")
    seconds = settings.get("request_timeout", settings.get("timeout"))
    if isinstance(seconds, int | float) and seconds > 0:
        found.others["timeouts"] = {"request_s": seconds}
    size = settings.get("max_request_size_mb")
    if isinstance(size, int | float) and size > 0:
        found.others["limits"] = {"body_bytes": max(1_024, min(int(size * 1024 * 1024), 30 * 1024 * 1024))}


def _stand_ins(found: Found, groups: Mapping[str, str], listed: Any, where: str) -> None:
    """``[{"gpt-4": ["claude"]}]``: of all kinds together, in their order."""
    for entry in listed if isinstance(listed, list) else ():
        for name, others in entry.items() if isinstance(entry, Mapping) else ():
            model, named = groups.get(str(name)), others if isinstance(others, list) else []
            known = [groups[str(one)] for one in named if str(one) in groups]
            if model is None or len(known) < len(named):
                found.unmapped.append(f"{where}.{name}: not all of these models are here")
            if model is not None:
                fallbacks = found.others.setdefault("fallbacks", {}).setdefault(model, [])
                fallbacks += [one for one in known if one != model and one not in fallbacks]
                del fallbacks[MOST_STAND_INS:]
