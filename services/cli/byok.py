"""``byok``: provider keys of one's own."""

import time
from typing import Annotated

import typer

from deploy.local.errors import StackError
from services.cli.api import Api, OwnerAccount, OwnerOrganization, owner_path, with_api
from services.cli.output import as_json, read_secret, report

byok = typer.Typer(no_args_is_help=True, help="Provider keys of your own.")

TEST_WITHIN_S = 30
ProviderOption = Annotated[str, typer.Option(help="The provider's ID, for example openai.")]


@byok.command("add")
@with_api
def byok_add(
    api: Api,
    provider: ProviderOption,
    account_id: OwnerAccount = None,
    organization_id: OwnerOrganization = None,
    check: Annotated[bool, typer.Option("--check", help="Ask the provider first whether it takes the key.")] = False,
) -> None:
    """Add or replace a provider key of your own; it is read from the terminal or stdin, never from an argument."""
    path = f"{owner_path(account_id, organization_id)}/provider-keys/{provider}"
    stored = api.call("PUT", path, {"key": read_secret(f"Key of {provider}"), "check": check})
    if hint := stored.pop("hint", None):
        report(f"stored, but {hint}")
    api.print(stored)


@byok.command("list")
@with_api
def byok_list(
    api: Api,
    account_id: OwnerAccount = None,
    organization_id: OwnerOrganization = None,
) -> None:
    """List provider keys, without the keys."""
    api.show("GET", f"{owner_path(account_id, organization_id)}/provider-keys")


@byok.command("test")
@with_api
def byok_test(
    api: Api,
    provider: ProviderOption,
    account_id: OwnerAccount = None,
    organization_id: OwnerOrganization = None,
) -> None:
    """Ask the provider whether it takes the stored key."""
    path = f"{owner_path(account_id, organization_id)}/provider-keys"
    ordered_at_ms = api.call("POST", f"{path}/{provider}/test")["ordered_at_ms"]
    deadline = time.monotonic() + TEST_WITHIN_S
    while time.monotonic() < deadline:
        row = next((row for row in api.call("GET", path) if row["provider"] == provider), None)
        if row and (row["last_used_at_ms"] or 0) >= ordered_at_ms:
            if row["last_error"]:
                raise StackError(row["last_error"])
            if api.json:
                as_json(row)
            else:
                report(f"{provider} takes the key {row['tail']}")
            return
        time.sleep(0.1)
    raise StackError("the vault did not answer in time")


@byok.command("remove")
@with_api
def byok_remove(
    api: Api,
    provider: ProviderOption,
    account_id: OwnerAccount = None,
    organization_id: OwnerOrganization = None,
) -> None:
    """Destroy a provider key."""
    path = f"{owner_path(account_id, organization_id)}/provider-keys/{provider}"
    api.show("DELETE", path)
