"""``import``: from LiteLLM and OpenRouter."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from deploy.local.errors import StackError
from deploy.local.home import write_private
from services.cli.api import Api, with_api
from services.cli.importing import litellm, litellm_teams, openrouter
from services.cli.importing.applying import apply
from services.cli.importing.found import Found, Known
from services.cli.importing.plan import Plan
from services.cli.importing.rows import rows_of
from services.cli.output import as_json, as_table, err, out

importing = typer.Typer(no_args_is_help=True, help="Come from another gateway.")
_FILE: dict[str, Any] = {"exists": True, "dir_okay": False}
Out = Annotated[Path | None, typer.Option("--out", help="Write the configuration there, not on stdout.")]
Apply = Annotated[bool, typer.Option("--apply", help="Make accounts, organizations and keys; without it, show them.")]


@importing.command("litellm")
@with_api
def import_litellm(
    api: Api,
    config: Annotated[Path | None, typer.Argument(help="LiteLLM's config.yaml.", **_FILE)] = None,
    out_file: Out = None,
    keys: Annotated[Path | None, typer.Option(help="LiteLLM_VerificationToken, JSON or CSV.", **_FILE)] = None,
    teams: Annotated[Path | None, typer.Option(help="LiteLLM_TeamTable, JSON or CSV.", **_FILE)] = None,
    users: Annotated[Path | None, typer.Option(help="LiteLLM_UserTable, JSON or CSV.", **_FILE)] = None,
    apply_plan: Apply = False,
) -> None:
    """Make a configuration of LiteLLM's; and accounts, organizations and keys of its database."""
    if not (config or keys or teams or users):
        raise StackError("name what to import: config.yaml, or --keys, --teams, --users")
    found = None
    if config:
        found = litellm.imported(_yaml(config), Known.read())
        _give(found, config.name, out_file, quiet=api.json and bool(keys or teams or users))
    if keys or teams or users:
        names = {alias: str(one["default"]) for alias, one in found.auto.items()} if found else {}
        plan = litellm_teams.planned(rows_of(teams), rows_of(keys), rows_of(users), names, datetime.now(UTC))
        _make(api, plan, apply_plan)


@importing.command("openrouter")
@with_api
def import_openrouter(
    api: Api,
    wanted: Annotated[list[str] | None, typer.Option("--model", help="A model that you use; once for each.")] = None,
    activity: Annotated[Path | None, typer.Option(help="GET /activity, or its page's CSV.", **_FILE)] = None,
    models: Annotated[Path | None, typer.Option(help="GET /models, for prices.", **_FILE)] = None,
    keys: Annotated[Path | None, typer.Option(help="GET /keys, to be made anew for --email.", **_FILE)] = None,
    email: Annotated[str | None, typer.Option(help="Of the account that gets the keys.")] = None,
    out_file: Out = None,
    apply_plan: Apply = False,
) -> None:
    """Make a configuration with the models that you use there, and new keys under the old names."""
    chosen = [*(wanted or ()), *openrouter.models_in(rows_of(activity))]
    listed = rows_of(models)
    if chosen or listed:
        every = chosen or [str(one["id"]) for one in listed if "id" in one]
        found = openrouter.imported(dict.fromkeys(every), listed, Known.read())
        _give(found, "OpenRouter", out_file, quiet=api.json and keys is not None)
    if keys:
        if not email:
            raise StackError("--keys needs --email, of the account that gets them")
        _make(api, openrouter.keys_of(rows_of(keys), email), apply_plan)
    elif not chosen and not listed:
        raise StackError("name what to import: --model, --activity, --models or --keys")


def _yaml(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, UnicodeDecodeError):
        # What YAML says of it quotes the file, which may hold keys.
        raise StackError(f"{file} is not YAML") from None
    if not isinstance(content, dict):
        raise StackError(f"{file} is no configuration of LiteLLM")
    return content


def _give(found: Found, source: str, out_file: Path | None, *, quiet: bool) -> None:
    text = found.document(source)
    if out_file:
        write_private(out_file, text)
    elif not quiet:
        out.print(text, markup=False, end="")
    err.print(f"{len(found.models)} models, {len(found.auto)} other names", style="dim", markup=False)
    for line in found.to_do:
        err.print(f"to do: {line}", style="yellow", markup=False)
    _not_mapped(found.unmapped)


def _make(api: Api, plan: Plan, apply_plan: bool) -> None:
    made = apply(api, plan) if apply_plan else plan.rows()
    if api.json:
        as_json(made)
    else:
        as_table(made, "nothing is new")
    _not_mapped(plan.unmapped)
    if not apply_plan:
        err.print("nothing was made; --apply makes it", style="dim", markup=False)


def _not_mapped(lines: list[str]) -> None:
    for line in lines:
        err.print(f"not mapped: {line}", style="yellow", markup=False)
