"""Accounts and API keys."""

import re
from typing import Annotated, Any

import typer

from libs.cli.client import ManagementClient
from libs.cli.output import as_json, as_table, out
from libs.devstack.errors import StackError

account = typer.Typer(no_args_is_help=True, help="Accounts.")
key = typer.Typer(no_args_is_help=True, help="API keys.")

Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
Url = Annotated[str | None, typer.Option(help="The console of another Sluice.")]
Token = Annotated[str | None, typer.Option("--key", envvar="SLUICE_OPERATOR_TOKEN", help="Its operator token.")]
AccountId = Annotated[str, typer.Option("--account", help="The account's ID.")]

_DURATION = re.compile(r"^(\d+)([smhdy])$")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "y": 365 * 86400}


@account.command("create")
def account_create(
    email: Annotated[str, typer.Option(help="E-mail address.")],
    json: Json = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Create an account."""
    created = ManagementClient.of(url, token).call("POST", "/api/accounts", {"email": email})
    _show(created, json)


@account.command("list")
def account_list(json: Json = False, url: Url = None, token: Token = None) -> None:
    """List all accounts."""
    _show(ManagementClient.of(url, token).call("GET", "/api/accounts"), json, "no account yet")


@key.command("create")
def key_create(
    account_id: AccountId,
    name: Annotated[str, typer.Option(help="To tell keys apart.")] = "default",
    expires: Annotated[str, typer.Option(help="Lifetime: 30m, 12h, 90d, 5y.")] = "5y",
    json: Json = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Mint an API key; it is shown this once."""
    body = {"name": name, "ttl_s": duration_s(expires)}
    _show(ManagementClient.of(url, token).call("POST", f"/api/accounts/{account_id}/keys", body), json)


@key.command("list")
def key_list(account_id: AccountId, json: Json = False, url: Url = None, token: Token = None) -> None:
    """List an account's keys, without the keys themselves."""
    _show(ManagementClient.of(url, token).call("GET", f"/api/accounts/{account_id}/keys"), json, "no key yet")


@key.command("revoke")
def key_revoke(
    key_id: Annotated[str, typer.Argument(help="The key's ID.")],
    json: Json = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Stop a key from working."""
    _show(ManagementClient.of(url, token).call("DELETE", f"/api/keys/{key_id}"), json)


def duration_s(text: str) -> int:
    """Seconds of ``90d`` and the like.

    Raises:
        StackError: it is not of that form.
    """
    found = _DURATION.match(text)
    if not found:
        raise StackError(f"a lifetime is a number and one of s, m, h, d, y, for example 90d; not {text!r}")
    return int(found.group(1)) * _SECONDS[found.group(2)]


def _show(content: Any, json: bool, empty: str = "") -> None:
    if json:
        as_json(content)
    elif isinstance(content, list):
        as_table(content, empty)
    else:
        for name, value in content.items():
            out.print(f"{name.replace('_', ' '):10} {value}", markup=False)
