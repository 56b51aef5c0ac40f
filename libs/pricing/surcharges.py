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
    "store",
    "previous_response_id",
    "conversation",
    "container",
    "inference_geo",
)
"""Fields that must be absent, null, false or empty."""


def without_hosted_tools(body: dict[str, Any], allowed: Collection[str] = ()) -> tuple[dict[str, Any], list[str]]:
    """The request without tools that its provider runs and bills, where it has others beside them; and their types.

    Agents offer such tools whether or not they will be used (Codex its ``web_search``). Alone they are what is asked
    for, and stay: see `surcharge`.
    """
    tools = body.get("tools")
    given = tools if isinstance(tools, list) else []
    types = {kind for tool in given if (kind := _hosted(tool)) and kind not in allowed}
    left = [tool for tool in given if _hosted(tool) not in types]
    if not types or not left:
        return body, []
    return {**body, "tools": left}, sorted(types)


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
        if kind := _hosted(tool):
            yield kind, f"the hosted tool `{kind}`"
    for part in parts_of(body):
        if any(isinstance(held, dict) and held.get("file_id") for held in (part, part.get("file"), part.get("source"))):
            yield "file_id", "`file_id`, a file in the provider's account"


def _hosted(tool: Any) -> str | None:
    """The type of a tool that the provider runs."""
    return str(tool.get("type"))[:60] if isinstance(tool, dict) and not is_the_clients(tool) else None
