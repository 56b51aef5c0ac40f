"""Calls of tools at servers of MCP, from what metering shows of its ledger."""

from dataclasses import dataclass
from datetime import datetime

from contracts.mcp import server_of
from libs.database.pool import Connection

MOST_TOOLS = 200


@dataclass(frozen=True, slots=True)
class ToolCalls:
    """How often one tool was called."""

    server: str
    tool: str
    calls: int
    not_completed: int
    last_at: datetime


async def by_tool(connection: Connection, owner: str, since: datetime) -> list[ToolCalls]:
    """An owner's since a time, the most used first; at most `MOST_TOOLS`."""
    found = await connection.fetch(
        "select model, upstream_model, count(*), count(*) filter (where outcome <> 'completed'), max(accepted_at) "
        "from ledger_v1.usage where owner = $1 and request_id >= ledger_v1.first_id($2) and model like 'mcp/%' "
        "and upstream_model is not null group by 1, 2 order by 3 desc, 1, 2 limit $3",
        owner,
        since,
        MOST_TOOLS,
    )
    return [ToolCalls(server_of(row[0]) or row[0], row[1], row[2], row[3], row[4]) for row in found]
