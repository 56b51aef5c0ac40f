"""Which tools of MCP servers a member may call. A pure function of an organization's policy and the member's role."""

from contracts.control import PolicySet
from contracts.mcp import full_name


def refused_by(policy: PolicySet | None, role: str | None, server: str, tool: str) -> str | None:
    """The rule that refuses a tool, for example ``mcp.member``; None where it may be called.

    The rules for all and those of the role must both permit it. Whoever has a role of which the rules know nothing, or
    none, is bound by those for all.
    """
    if policy is None or not policy.mcp:
        return None
    name = full_name(server, tool)
    for who, rules in policy.mcp.items():
        if who in ("*", role) and not rules.permit(name):
            return f"mcp.{who}"
    return None
