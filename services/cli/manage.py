"""Accounts, API keys, organizations, policies, signing keys, the audit trail, and the login to another Sluice."""

import re
import sys
import time
from typing import Annotated, Any

import typer
from rich.progress import Progress

from deploy.local.errors import StackError
from services.cli.client import Login, ManagementClient
from services.cli.output import as_json, as_table, err, out, say
from services.cli.run import running

account = typer.Typer(no_args_is_help=True, help="Accounts.")
key = typer.Typer(no_args_is_help=True, help="API keys.")
organization = typer.Typer(no_args_is_help=True, help="Organizations.")
member = typer.Typer(no_args_is_help=True, help="Members of an organization.")
signing_key = typer.Typer(no_args_is_help=True, help="The keys that sign tokens.")
byok = typer.Typer(no_args_is_help=True, help="Provider keys of your own.")
vault = typer.Typer(no_args_is_help=True, help="The vault of provider keys.")
organization.add_typer(member, name="member")

Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
Url = Annotated[str | None, typer.Option(help="The console of another Sluice.")]
Key = Annotated[
    str | None,
    typer.Option("--key", envvar="SLUICE_KEY", help="Operator token, or an API key with the scope manage."),
]
AccountOption = Annotated[str, typer.Option("--account", help="The account's ID.")]
AccountArgument = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's ID.")]
OrganizationArgument = Annotated[str, typer.Argument(metavar="ORG", help="The organization's ID.")]
KeyArgument = Annotated[str, typer.Argument(metavar="KEY_ID", help="The key's ID.")]
MemberArgument = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's ID or e-mail address.")]
RoleOption = Annotated[str, typer.Option(help="owner, billing_manager or member.")]

ProviderOption = Annotated[str, typer.Option(help="The provider's ID, for example openai.")]
OwnerAccount = Annotated[str | None, typer.Option("--account", help="Of this account.")]
OwnerOrganization = Annotated[str | None, typer.Option("--org", help="Of this organization.")]

TEST_WITHIN_S = 30
_DURATION = re.compile(r"^(\d+)([smhdy])$")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "y": 365 * 86400}


@account.command("create")
def account_create(
    email: Annotated[str, typer.Option(help="E-mail address.")], json: Json = False, url: Url = None, as_: Key = None
) -> None:
    """Create an account."""
    call("POST", "/api/accounts", {"email": email}, json, url, as_)


@account.command("list")
def account_list(json: Json = False, url: Url = None, as_: Key = None) -> None:
    """List all accounts."""
    call("GET", "/api/accounts", None, json, url, as_)


@account.command("disable")
def account_disable(account_id: AccountArgument, json: Json = False, url: Url = None, as_: Key = None) -> None:
    """Lock an account out."""
    call("PATCH", f"/api/accounts/{account_id}", {"disabled": True}, json, url, as_)


@account.command("enable")
def account_enable(account_id: AccountArgument, json: Json = False, url: Url = None, as_: Key = None) -> None:
    """Let an account in again."""
    call("PATCH", f"/api/accounts/{account_id}", {"disabled": False}, json, url, as_)


@account.command("sign-out")
def account_sign_out(account_id: AccountArgument, json: Json = False, url: Url = None, as_: Key = None) -> None:
    """End every key and token of an account."""
    call("POST", f"/api/accounts/{account_id}/sign-out", None, json, url, as_)


@key.command("create")
def key_create(
    account_id: AccountOption,
    name: Annotated[str, typer.Option(help="To tell keys apart.")] = "default",
    expires: Annotated[str, typer.Option(help="Lifetime: 30m, 12h, 90d, 5y.")] = "5y",
    scope: Annotated[list[str] | None, typer.Option(help="inference, manage; may be given twice.")] = None,
    json: Json = False,
    url: Url = None,
    as_: Key = None,
) -> None:
    """Mint an API key; it is shown this once."""
    body = {"name": name, "ttl_s": duration_s(expires), "scopes": scope or ["inference"]}
    call("POST", f"/api/accounts/{account_id}/keys", body, json, url, as_)


@key.command("list")
def key_list(account_id: AccountOption, json: Json = False, url: Url = None, as_: Key = None) -> None:
    """List an account's keys, without the keys themselves."""
    call("GET", f"/api/accounts/{account_id}/keys", None, json, url, as_)


@key.command("revoke")
def key_revoke(key_id: KeyArgument, json: Json = False, url: Url = None, as_: Key = None) -> None:
    """Stop a key from working."""
    call("DELETE", f"/api/keys/{key_id}", None, json, url, as_)


@key.command("rotate")
def key_rotate(key_id: KeyArgument, json: Json = False, url: Url = None, as_: Key = None) -> None:
    """Revoke a key and mint one like it; it is shown this once."""
    call("POST", f"/api/keys/{key_id}/rotate", None, json, url, as_)


@organization.command("create")
def organization_create(
    name: Annotated[str, typer.Option(help="Its name.")],
    owner: Annotated[str | None, typer.Option(help="The account that owns it; without it, you.")] = None,
    json: Json = False,
    url: Url = None,
    as_: Key = None,
) -> None:
    """Create an organization."""
    body = {"name": name} | ({"owner": owner} if owner else {})
    call("POST", "/api/organizations", body, json, url, as_)


@organization.command("list")
def organization_list(json: Json = False, url: Url = None, as_: Key = None) -> None:
    """List organizations: for the operator all, else your own."""
    call("GET", "/api/organizations", None, json, url, as_)


@organization.command("delete")
def organization_delete(
    organization_id: OrganizationArgument, json: Json = False, url: Url = None, as_: Key = None
) -> None:
    """End an organization."""
    call("DELETE", f"/api/organizations/{organization_id}", None, json, url, as_)


@organization.command("token")
def organization_token(
    organization_id: OrganizationArgument,
    account_id: Annotated[str | None, typer.Option("--account", help="For whom; without it, you.")] = None,
    json: Json = False,
    url: Url = None,
    as_: Key = None,
) -> None:
    """Take an organization token of 15 minutes."""
    body = {"account": account_id} if account_id else {}
    call("POST", f"/api/organizations/{organization_id}/token", body, json, url, as_)


@organization.command("audit")
def organization_audit(
    organization_id: OrganizationArgument,
    limit: Annotated[int, typer.Option(help="At most so many, newest first.")] = 100,
    json: Json = False,
    url: Url = None,
    as_: Key = None,
) -> None:
    """Show who changed what in an organization."""
    call("GET", f"/api/organizations/{organization_id}/audit?limit={limit}", None, json, url, as_)


@member.command("list")
def member_list(organization_id: OrganizationArgument, json: Json = False, url: Url = None, as_: Key = None) -> None:
    """List an organization's members."""
    call("GET", f"/api/organizations/{organization_id}/members", None, json, url, as_)


@member.command("add")
@member.command("set")
def member_set(
    organization_id: OrganizationArgument,
    account_id: MemberArgument,
    role: RoleOption = "member",
    json: Json = False,
    url: Url = None,
    as_: Key = None,
) -> None:
    """Make an account a member, or change its role."""
    path = f"/api/organizations/{organization_id}/members/{account_id}"
    call("PUT", path, {"role": role}, json, url, as_)


@member.command("remove")
def member_remove(
    organization_id: OrganizationArgument,
    account_id: MemberArgument,
    json: Json = False,
    url: Url = None,
    as_: Key = None,
) -> None:
    """End a membership."""
    call("DELETE", f"/api/organizations/{organization_id}/members/{account_id}", None, json, url, as_)


@byok.command("add")
def byok_add(
    provider: ProviderOption,
    account_id: OwnerAccount = None,
    organization_id: OwnerOrganization = None,
    check: Annotated[bool, typer.Option("--check", help="Ask the provider first whether it takes the key.")] = False,
    json: Json = False,
    url: Url = None,
    as_: Key = None,
) -> None:
    """Add or replace a provider key of your own; it is read from the terminal or stdin, never from an argument."""
    path = f"{owner_path(account_id, organization_id)}/provider-keys/{provider}"
    call("PUT", path, {"key": _read_secret(f"Key of {provider}"), "check": check}, json, url, as_)


@byok.command("list")
def byok_list(
    account_id: OwnerAccount = None,
    organization_id: OwnerOrganization = None,
    json: Json = False,
    url: Url = None,
    as_: Key = None,
) -> None:
    """List provider keys, without the keys."""
    call("GET", f"{owner_path(account_id, organization_id)}/provider-keys", None, json, url, as_)


@byok.command("test")
def byok_test(
    provider: ProviderOption,
    account_id: OwnerAccount = None,
    organization_id: OwnerOrganization = None,
    json: Json = False,
    url: Url = None,
    as_: Key = None,
) -> None:
    """Ask the provider whether it takes the stored key."""
    client, path = ManagementClient.of(url, as_), f"{owner_path(account_id, organization_id)}/provider-keys"
    ordered_at_ms = client.call("POST", f"{path}/{provider}/test")["ordered_at_ms"]
    deadline = time.monotonic() + TEST_WITHIN_S
    while time.monotonic() < deadline:
        row = next((row for row in client.call("GET", path) if row["provider"] == provider), None)
        if row and (row["last_used_at_ms"] or 0) >= ordered_at_ms:
            if row["last_error"]:
                raise StackError(row["last_error"])
            if json:
                as_json(row)
            else:
                say(f"{provider} takes the key {row['tail']}")
            return
        time.sleep(0.1)
    raise StackError("the vault did not answer in time")


@byok.command("remove")
def byok_remove(
    provider: ProviderOption,
    account_id: OwnerAccount = None,
    organization_id: OwnerOrganization = None,
    json: Json = False,
    url: Url = None,
    as_: Key = None,
) -> None:
    """Destroy a provider key."""
    path = f"{owner_path(account_id, organization_id)}/provider-keys/{provider}"
    call("DELETE", path, None, json, url, as_)


def owner_path(account_id: str | None, organization_id: str | None) -> str:
    """The API's path of the one that was named.

    Raises:
        StackError: none was, or both.
    """
    if (account_id is None) == (organization_id is None):
        raise StackError("say whose: --account ID or --org ID")
    return f"/api/accounts/{account_id}" if account_id else f"/api/organizations/{organization_id}"


def _read_secret(what: str) -> str:
    """From the terminal without an echo, or the first line of stdin."""
    given: str = typer.prompt(what, hide_input=True) if sys.stdin.isatty() else sys.stdin.readline()
    return given.strip()


@vault.command("show")
def vault_show(json: Json = False, url: Url = None, as_: Key = None) -> None:
    """Show which key-encryption key wraps, and what is left of older ones."""
    call("GET", "/api/vault", None, json, url, as_)


@vault.command("new-key")
def vault_new_key() -> None:
    """Add a key-encryption key to the Sluice of this folder; it wraps from the next start on."""
    home, _state = running()
    version = home.new_key_encryption_key("key-vault")
    say(f"added {version}; `./sluice down`, `./sluice up`, then `./sluice vault rotate`")


@vault.command("rotate")
def vault_rotate(json: Json = False, url: Url = None, as_: Key = None) -> None:
    """Wrap all keys anew by the newest key-encryption key; put it in front of the others first."""
    client = ManagementClient.of(url, as_)
    state = client.call("POST", "/api/vault/rewrap")
    with Progress(console=err, transient=True) as progress:
        task = progress.add_task("wrapping anew", total=state["to_rewrap"])
        while (state := client.call("GET", "/api/vault"))["to_rewrap"]:
            progress.update(task, completed=(progress.tasks[0].total or 0) - state["to_rewrap"])
            time.sleep(0.3)
    if json:
        as_json(state)
    else:
        say(f"all {state['credentials']} keys are wrapped by {state['kek_version']}; older versions can be destroyed")


@signing_key.command("list")
def signing_key_list(json: Json = False, url: Url = None, as_: Key = None) -> None:
    """List the signing keys."""
    call("GET", "/api/signing-keys", None, json, url, as_)


@signing_key.command("rotate")
def signing_key_rotate(json: Json = False, url: Url = None, as_: Key = None) -> None:
    """Sign with a new key from now on; tokens of older ones stay valid."""
    call("POST", "/api/signing-keys/rotate", None, json, url, as_)


@signing_key.command("retire")
def signing_key_retire(
    kid: Annotated[str, typer.Argument(help="The key's ID.")],
    after: Annotated[str, typer.Option(help="When its tokens end: 0s, 30d.")] = "0s",
    json: Json = False,
    url: Url = None,
    as_: Key = None,
) -> None:
    """End a signing key, and with it every token that it signed."""
    call("POST", f"/api/signing-keys/{kid}/retire", {"after_s": duration_s(after)}, json, url, as_)


def audit_trail(
    limit: Annotated[int, typer.Option(help="At most so many, newest first.")] = 100,
    json: Json = False,
    url: Url = None,
    as_: Key = None,
) -> None:
    """Show who changed what."""
    call("GET", f"/api/audit?limit={limit}", None, json, url, as_)


def login(url: Annotated[str, typer.Option(help="The console of the Sluice to log in to.")]) -> None:
    """Keep the address and key of another Sluice; the key comes from the terminal or stdin, never from an argument."""
    key_ = _read_secret("API key (scope manage)")
    me = ManagementClient(url, key_).call("GET", "/api/me")
    Login(url, key_).save()
    say(f"logged in as {me['account'] or 'the operator'}")


def logout() -> None:
    """Forget the login."""
    Login.forget()
    say("logged out")


def whoami(json: Json = False, url: Url = None, as_: Key = None) -> None:
    """Show who the key in use is."""
    call("GET", "/api/me", None, json, url, as_)


def duration_s(text: str) -> int:
    """Seconds of ``90d`` and the like.

    Raises:
        StackError: it is not of that form.
    """
    found = _DURATION.match(text)
    if not found:
        raise StackError(f"a duration is a number and one of s, m, h, d, y, for example 90d; not {text!r}")
    return int(found.group(1)) * _SECONDS[found.group(2)]


def call(method: str, path: str, body: dict[str, Any] | None, json: bool, url: str | None, key_: str | None) -> None:
    """Calls the management API and prints its answer."""
    content = ManagementClient.of(url, key_).call(method, path, body)
    if json:
        as_json(content)
    elif isinstance(content, list):
        as_table(content, "none yet")
    else:
        for name, value in content.items():
            out.print(f"{name.replace('_', ' '):12} {value}", markup=False)
