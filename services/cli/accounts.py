"""``account``, ``key``, and who calls: ``login``, ``logout``, ``whoami``."""

from typing import Annotated, Any

import typer

from services.cli.api import Api, with_api
from services.cli.client import Login, ManagementClient
from services.cli.limits import parse_settings
from services.cli.output import as_json, out, read_secret, report
from services.cli.times import duration_s

account = typer.Typer(no_args_is_help=True, help="Accounts.")
key = typer.Typer(no_args_is_help=True, help="API keys.")

AccountOption = Annotated[str, typer.Option("--account", help="The account's ID.")]
AccountArgument = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's ID.")]
KeyArgument = Annotated[str, typer.Argument(metavar="KEY_ID", help="The key's ID.")]


@account.command("create")
@with_api
def account_create(api: Api, email: Annotated[str, typer.Option(help="E-mail address.")]) -> None:
    """Create an account."""
    api.show("POST", "/api/accounts", {"email": email})


@account.command("login")
@with_api
def account_login(
    api: Api,
    account_id: Annotated[str | None, typer.Option("--account", help="Who signs in; without it, you.")] = None,
) -> None:
    """Print a link that signs in to the web console, once and within ten minutes."""
    link = api.call("POST", "/api/sign-in-links", {"account": account_id} if account_id else {})
    url = f"{api.address}{link['path']}"
    if api.json:
        as_json({"url": url, "expires_at": link["expires_at"]})
    else:
        out.print(url, markup=False)


@account.command("list")
@with_api
def account_list(api: Api) -> None:
    """List all accounts."""
    api.show_all("/api/accounts")


@account.command("disable")
@with_api
def account_disable(api: Api, account_id: AccountArgument) -> None:
    """Lock an account out."""
    api.show("PATCH", f"/api/accounts/{account_id}", {"disabled": True})


@account.command("enable")
@with_api
def account_enable(api: Api, account_id: AccountArgument) -> None:
    """Let an account in again."""
    api.show("PATCH", f"/api/accounts/{account_id}", {"disabled": False})


@account.command("sign-out")
@with_api
def account_sign_out(api: Api, account_id: AccountArgument) -> None:
    """End every key and token of an account."""
    api.show("POST", f"/api/accounts/{account_id}/sign-out")


@account.command("alert-mails")
@with_api
def account_alert_mails(
    api: Api,
    account_id: AccountArgument,
    state: Annotated[str | None, typer.Argument(metavar="[on|off]", help="Without it, how it is.")] = None,
) -> None:
    """Say whether an account is notified of alerts by mail, or end that and begin it again."""
    path = f"/api/accounts/{account_id}/alert-mails"
    if state is None:
        api.show("GET", path)
    elif state in ("on", "off"):
        api.show("PUT", path, {"on": state == "on"})
    else:
        raise typer.BadParameter("on or off")


@key.command("create")
@with_api
def key_create(
    api: Api,
    account_id: AccountOption,
    name: Annotated[str, typer.Option(help="To distinguish keys.")] = "default",
    expires: Annotated[str, typer.Option(help="Lifetime: 30m, 12h, 90d, 5y.")] = "5y",
    scope: Annotated[list[str] | None, typer.Option(help="inference, manage; may be given twice.")] = None,
    limit: Annotated[
        list[str] | None, typer.Option(help="NAME=MOST as in `limits set`, of this key alone; may be given again.")
    ] = None,
) -> None:
    """Mint an API key; it is shown this once."""
    body: dict[str, Any] = {"name": name, "ttl_s": duration_s(expires), "scopes": scope or ["inference"]}
    if limit:
        body["limits"] = parse_settings(limit)
    api.show("POST", f"/api/accounts/{account_id}/keys", body)


@key.command("list")
@with_api
def key_list(api: Api, account_id: AccountOption) -> None:
    """List an account's keys, without the keys themselves."""
    api.show_all(f"/api/accounts/{account_id}/keys")


@key.command("revoke")
@with_api
def key_revoke(api: Api, key_id: KeyArgument) -> None:
    """Stop a key from working."""
    api.show("DELETE", f"/api/keys/{key_id}")


@key.command("rotate")
@with_api
def key_rotate(api: Api, key_id: KeyArgument) -> None:
    """Revoke a key and mint one like it; it is shown this once."""
    api.show("POST", f"/api/keys/{key_id}/rotate")


def login(url: Annotated[str, typer.Option(help="The console of the Sluice to log in to.")]) -> None:
    """Keep the address and key of another Sluice; the key comes from the terminal or stdin, never from an argument."""
    key_ = read_secret("API key (scope manage)")
    me = ManagementClient(url, key_).call("GET", "/api/me")
    Login(url, key_).save()
    report(f"logged in as {me['account'] or 'the operator'}")


def logout() -> None:
    """Forget the login."""
    Login.forget()
    report("logged out")


@with_api
def whoami(api: Api) -> None:
    """Show who the key in use is."""
    api.show("GET", "/api/me")
