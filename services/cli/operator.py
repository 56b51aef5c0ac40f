"""What the operator of a Sluice looks after: ``vault``, ``signing-key``, ``audit-trail``, ``secrets``."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from deploy.local.compose import BROKER_HOSTS, FOLDER, draw, renew_certificates
from services.cli.api import Api, with_api
from services.cli.output import as_json, err, report
from services.cli.running import running
from services.cli.times import duration_s

vault = typer.Typer(no_args_is_help=True, help="The vault of provider keys.")
signing_key = typer.Typer(no_args_is_help=True, help="The keys that sign tokens.")


def secrets(
    folder: Annotated[Path, typer.Argument(help="Where the files go.", show_default=False)] = FOLDER,
    database_host: Annotated[str, typer.Option(help="Of the URLs of PostgreSQL; HOST or HOST:PORT.")] = "postgres",
    broker_host: Annotated[
        list[str] | None,
        typer.Option(help="For the certificate of Kafka's brokers; once for each.", show_default=False),
    ] = None,
    renew: Annotated[bool, typer.Option("--renew-certificates", help="Draw a new CA and what it signs.")] = False,
) -> None:
    """Draw the secrets of docker-compose.yml, one file each; those that are there stay."""
    hosts = broker_host or BROKER_HOSTS
    if renew:
        report(f"written to {folder}: {', '.join(renew_certificates(folder, broker_hosts=hosts))}; restart the brokers")
        return
    written = draw(folder, database_host=database_host, broker_hosts=hosts)
    report(f"written to {folder}: {', '.join(written)}" if written else f"{folder} has all of them")


@vault.command("show")
@with_api
def vault_show(api: Api) -> None:
    """Show which key-encryption key wraps, and what is left of older ones."""
    api.show("GET", "/api/vault")


@vault.command("new-key")
def vault_new_key() -> None:
    """Add a key-encryption key to the Sluice of this folder; it wraps from the next start on."""
    home, _state = running()
    version = home.new_key_encryption_key("key-vault")
    report(f"added {version}; `./sluice down`, `./sluice up`, then `./sluice vault rotate`")


@vault.command("rotate")
@with_api
def vault_rotate(api: Api) -> None:
    """Wrap all keys anew by the newest key-encryption key; put it in front of the others first."""
    state = api.call("POST", "/api/vault/rewrap")
    with Progress(console=err, transient=True) as progress:
        task = progress.add_task("wrapping anew", total=state["to_rewrap"])
        while (state := api.call("GET", "/api/vault"))["to_rewrap"]:
            progress.update(task, completed=(progress.tasks[0].total or 0) - state["to_rewrap"])
            time.sleep(0.3)
    if api.json:
        as_json(state)
    else:
        wrapped = f"all {state['credentials']} keys are wrapped by {state['kek_version']}"
        report(f"{wrapped}; older versions can be destroyed")


@signing_key.command("list")
@with_api
def signing_key_list(api: Api) -> None:
    """List the signing keys."""
    api.show("GET", "/api/signing-keys")


@signing_key.command("rotate")
@with_api
def signing_key_rotate(api: Api) -> None:
    """Sign with a new key from now on; tokens of older ones stay valid."""
    api.show("POST", "/api/signing-keys/rotate")


@signing_key.command("retire")
@with_api
def signing_key_retire(
    api: Api,
    kid: Annotated[str, typer.Argument(help="The key's ID.")],
    after: Annotated[str, typer.Option(help="When its tokens end: 0s, 30d.")] = "0s",
) -> None:
    """End a signing key, and with it every token that it signed."""
    api.show("POST", f"/api/signing-keys/{kid}/retire", {"after_s": duration_s(after)})


@with_api
def audit_trail(
    api: Api,
    limit: Annotated[int, typer.Option(help="At most so many, newest first.")] = 100,
) -> None:
    """Show who changed what."""
    api.show("GET", f"/api/audit?limit={limit}")
