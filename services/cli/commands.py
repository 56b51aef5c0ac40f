"""All commands of ``./sluice``: where each lives, and its line in the help.

A command's module is imported when it is called. All of them at once bring Kafka's client, FastAPI's and rich's parts
with them, and took 1.1 s of every call; the table takes none of it.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True, slots=True)
class Command:
    """A command, or a group of them."""

    name: str
    at: str
    """``module:attribute`` below `services.cli`: a function, or a `typer.Typer` for a group."""
    help: str
    passes_on: bool = False
    """Arguments that it does not know are for a program that it starts."""
    passes_help_on: bool = False
    """So is ``--help``."""

    def load(self) -> Any:
        """Imports it."""
        module, _, attribute = self.at.partition(":")
        return getattr(import_module(f"services.cli.{module}"), attribute)


COMMANDS = (
    Command(
        "demo", "demo:demo", "Start everything with a stub provider, and send one completion through all services."
    ),
    Command("up", "run:up", "Start Sluice and keep it running."),
    Command("down", "down:down", "Stop the Sluice that runs from this folder."),
    Command("restart", "restart:restart", "Start all services anew, one after the other: no request fails."),
    Command("status", "status:status", "Show what runs from this folder, and how it is."),
    Command("top", "top:top", "Show rate, latency, lag, spend and refusals of the Sluice of this folder, live."),
    Command(
        "tail",
        "tail:tail",
        "Show records as they come onto the log: who, what and how it ended, without prompts, answers and secrets.",
    ),
    Command(
        "contracts",
        "contracts:contracts",
        "Write schemas, AsyncAPI, OpenAPI, the chart's files and the generated tables of documents anew.",
    ),
    Command("test", "checks:test", "Run all checks; with arguments, pytest alone with these.", passes_on=True),
    Command(
        "bench",
        "checks:bench",
        "Measure throughput, delays and CPU a request: side by side with the mock provider, a bare chain, a commit.",
        passes_on=True,
        passes_help_on=True,
    ),
    Command(
        "debug",
        "debug:debug",
        "Run one service of the running Sluice here, in the foreground: `breakpoint()` stops in it.",
        passes_on=True,
    ),
    Command("account", "accounts:account", "Accounts."),
    Command("key", "accounts:key", "API keys."),
    Command("org", "organizations:organization", "Organizations."),
    Command("policy", "policies:policy", "Policies of organizations."),
    Command("config", "catalog:config", "Versions of what is served: providers, models, prices, limits."),
    Command("limits", "limits:limits", "Limits of accounts and organizations."),
    Command("prices", "prices:prices", "Prices of models: take new ones over, and settle differences."),
    Command("byok", "byok:byok", "Provider keys of your own."),
    Command("mcp", "mcp:mcp", "Servers of MCP (Model Context Protocol), whose tools go through the gateway."),
    Command("credit", "money:credit", "Prepaid credit."),
    Command(
        "balance",
        "money:balance",
        "Show what is left of a credit, and its newest top-ups; without a name, of the account whose key this is.",
    ),
    Command("usage", "money:usage", "Show who used what: of an organization, of an account, or (operator) of all."),
    Command(
        "audit",
        "audit:audit",
        "Prove from log and ledger that every request ended once, was charged once, and is in its owner's balance.",
    ),
    Command("cache", "cache:cache", "Answers that are given again."),
    Command("dlq", "dlq:dlq", "Dead letters: records that could not be handled."),
    Command("sinks", "sinks:sinks", "Sinks: records and alerts that go to other systems."),
    Command("import", "importing.commands:importing", "Come from another gateway."),
    Command(
        "export",
        "export:export",
        "Write everything that an account or an organization owns, without secrets, prompts or answers.",
    ),
    Command("topics", "topics:topics", "The topics of the cluster, as the contracts want them."),
    Command("vault", "operator:vault", "The vault of provider keys."),
    Command("signing-key", "operator:signing_key", "The keys that sign tokens."),
    Command("audit-trail", "operator:audit_trail", "Show who changed what."),
    Command(
        "secrets",
        "operator:secrets",
        "Draw the secrets of docker-compose.yml, one file each; those that are there stay.",
    ),
    Command(
        "login",
        "accounts:login",
        "Keep the address and key of another Sluice; the key comes from the terminal or stdin, never from an argument.",
    ),
    Command("logout", "accounts:logout", "Forget the login."),
    Command("whoami", "accounts:whoami", "Show who the key in use is."),
)
