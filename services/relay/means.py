"""What every attempt of one relay works with."""

from dataclasses import dataclass, field

from libs.config.gateway import Timeouts
from services.relay.answer_cache import AnswerCache
from services.relay.core.estimating import Paces
from services.relay.core.key_uses import KeyUses
from services.relay.core.tally import Tally
from services.relay.grants import Grants
from services.relay.hooks import Hooks
from services.relay.left import Left
from services.relay.servers import Servers
from services.relay.upstream import Upstreams


@dataclass(frozen=True, slots=True)
class Means:
    """One for each relay."""

    grants: Grants
    upstreams: Upstreams
    tally: Tally
    key_uses: KeyUses
    timeouts: Timeouts
    cache: AnswerCache
    servers: Servers
    """Of MCP."""
    hooks: Hooks
    """Of guardrails."""
    list_s: float
    """Of one MCP server's list of tools."""
    paces: Paces = field(default_factory=Paces)
    left: Left = field(default_factory=Left)
