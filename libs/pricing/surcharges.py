"""Fields that make a provider bill more than its price of tokens, or reach into the account behind the key. Pure.

With a user's own key all of them pass; with the gateway's key its operator would pay the difference. Sources: OpenAI,
"Priority processing", "Tools" and "Background mode"; Anthropic, "Service tiers", "Fast mode", "Data residency" and "MCP
connector"; xAI, "Live search"; OpenRouter, "Web search".
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from libs.pricing.bounds import is_the_clients, parts_of

_STANDARD_TIERS = ("auto", "default", "standard", "standard_only", "flex", "batch")
_NEVER = (
    "web_search_options",
    "search_parameters",
    "mcp_servers",
    "plugins",
    "background",
    "store",
    "previous_response_id",
    "conversation",
    "container",
    "inference_geo",
)
"""Fields that must be absent, null, false or empty."""


def surcharge(body: Mapping[str, Any], allowed: Collection[str] = ()) -> str | None:
    """The first field of a request that costs more than its tokens, with what it is; None where there is none.

    Args:
        body: of any surface, as the client sent it.
        allowed: names that the operator pays for: of fields, of types of tools, or ``file_id``.
    """
    return next((found for name, found in _surcharges(body) if name not in allowed), None)


def _surcharges(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in _NEVER:
        if body.get(name):
            yield name, f"`{name}`"
    tier = body.get("service_tier")
    if tier is not None and tier not in _STANDARD_TIERS:
        yield "service_tier", f"`service_tier: {str(tier)[:40]}`"
    if body.get("speed") not in (None, "standard"):
        yield "speed", "`speed`"
    if isinstance(body.get("prompt"), dict):
        yield "prompt", "`prompt` as a stored template"
    tools = body.get("tools")
    for tool in tools if isinstance(tools, list) else ():
        if isinstance(tool, dict) and not is_the_clients(tool):
            kind = str(tool.get("type"))[:60]
            yield kind, f"the hosted tool `{kind}`"
    for part in parts_of(body):
        if any(isinstance(held, dict) and held.get("file_id") for held in (part, part.get("file"), part.get("source"))):
            yield "file_id", "`file_id`, a file in the provider's account"
