"""Tools of MCP servers that users register: their names, and who may call which."""

from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field

from .patterns import Patterns
from .record import Value, empty

MOST_TOOL_CHARACTERS = 128
ToolName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_./-]{1,128}$")]
"""As its server has it. Source: MCP 2026-07-28, "Tools", "Tool Names"; a slash was allowed before."""
SERVER = r"^[a-z0-9](-?[a-z0-9]){0,31}$"
"""A server's name. It has no underscore, so that the first two end it in the name of a tool."""
MODEL = "mcp"
"""What a request for the tools of all servers has in place of a model; one of them is ``mcp/<server>``."""
_PREFIX = f"{MODEL}/"
Patterned = Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=200)]
RuleFor = Literal["*", "owner", "billing_manager", "member"]


def provider_of(server: str) -> str:
    """What a server is called where others are providers and models."""
    return _PREFIX + server


def server_of(provider_id: str) -> str | None:
    """The inverse; None for what is no MCP server."""
    return provider_id.removeprefix(_PREFIX) if provider_id.startswith(_PREFIX) else None


def full_name(server: str, tool: str) -> str:
    """What clients call a tool, and what rules are about."""
    return f"{server}__{tool}"


def split_name(name: str) -> tuple[str, str]:
    """The server and its tool; the tool is empty where the name is none of these."""
    server, _, tool = name.partition("__")
    return server, tool


class ToolRules(Value):
    """Tools, by names or wildcards of ``server__tool``; case does not matter. What is denied stays so."""

    allow: Patterned | None = None
    """None: all."""
    deny: Patterned = empty(list)

    @cached_property
    def _allow(self) -> Patterns | None:
        return None if self.allow is None else Patterns(self.allow)

    @cached_property
    def _deny(self) -> Patterns:
        return Patterns(self.deny)

    def permit(self, name: str) -> bool:
        """The tool may be called, as far as these rules go."""
        return not self._deny.match(name) and (self._allow is None or self._allow.match(name))
