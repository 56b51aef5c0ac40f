"""From an allowed request to the route to MCP servers. Pure."""

from contracts.mcp import MODEL
from contracts.requests import CallableRequest, carried
from contracts.routes import RoutePlanned, Target
from services.router.core.join import Allowed, Source


def plan_servers(verdict: Allowed[Source], now_ms: int) -> RoutePlanned | None:
    """The route to the server whose tool is called, or to all whose tools are asked for; None without a grant for it.

    They are the owner's own: none stands in for another, and how they do is nobody else's affair.
    """
    request = verdict.request
    targets = [
        Target(provider_id=grant.provider_id, upstream_model=request.tool or MODEL, grant=grant)
        for grant in verdict.credential.grants
        if request.model in (MODEL, grant.provider_id)
    ]
    if not targets or (request.tool is None) is not (request.model == MODEL):
        return None
    return RoutePlanned(
        **carried(request, CallableRequest),
        targets=targets,
        hook=verdict.credential.hook,
        windows=verdict.quota.windows,
        waited_ms=verdict.quota.waited_ms,
        planned_at_ms=now_ms,
    )
