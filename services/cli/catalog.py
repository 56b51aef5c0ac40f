"""``config``: versions of what is served. ``check`` needs no Sluice."""

from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.local.errors import StackError
from services.cli.api import Api, with_api
from services.cli.output import as_json, as_table, fail, out, report

config = typer.Typer(no_args_is_help=True, help="Versions of what is served: providers, models, prices, limits.")
File = Annotated[Path, typer.Argument(help="A configuration file (YAML).", exists=True, dir_okay=False)]


@config.command("check")
def config_check(file: File) -> None:
    """Show what is wrong with a file, with its lines; nothing is changed, and no Sluice need run."""
    # Late: they take half a second.
    from libs.config.reading import DocumentError, read_config

    try:
        found = read_config(read(file), environment=False)
    except DocumentError as error:
        for problem in error.problems:
            out.print(f"{file}: {problem}", markup=False, soft_wrap=True)
        fail(f"{file} cannot be used")
    report(f"{file} is right: {len({model.id for model in found.models})} models, {len(found.providers)} providers")


@config.command("show")
@with_api
def config_show(
    api: Api, version: Annotated[int | None, typer.Argument(help="Without it, the one that holds.")] = None
) -> None:
    """Print a version, prices included, as JSON."""
    as_json(api.call("GET", "/api/catalog" + (f"?version={version}" if version else "")))


@config.command("diff")
@with_api
def config_diff(api: Api, file: File) -> None:
    """Show what a file would change."""
    show_difference(api, api.call("POST", "/api/catalog/diff", {"document": read(file)}), "would change")


@config.command("apply")
@with_api
def config_apply(
    api: Api,
    file: File,
    expected: Annotated[
        int | None, typer.Option(help="The version that it is to follow; if another one came meanwhile, do nothing.")
    ] = None,
) -> None:
    """Make a file the next version; requests under way end by the one that they came with."""
    show_difference(api, api.call("PUT", "/api/catalog", {"document": read(file), "expected": expected}), "changed")


@config.command("history")
@with_api
def config_history(api: Api, limit: Annotated[int, typer.Option(min=1, max=1_000)] = 100) -> None:
    """List the versions, newest first."""
    api.show("GET", f"/api/catalog/versions?limit={limit}")


@config.command("rollback")
@with_api
def config_rollback(api: Api, version: Annotated[int, typer.Argument(help="See `history`.")]) -> None:
    """Make a former version, its prices included, the next one."""
    show_difference(api, api.call("POST", "/api/catalog/rollback", {"version": version}), "changed")


def show_difference(api: Api, found: dict[str, Any], what: str) -> None:
    """Prints what a version changes."""
    if api.json:
        as_json(found)
        return
    for note in found["notes"]:
        report(note)
    if found["changes"]:
        as_table(found["changes"], "")
    report(f"version {found['version']} holds; {len(found['changes'])} {what}")


def read(file: Path) -> str:
    """A file's text. Raises StackError where there is none."""
    try:
        return file.read_text()
    except UnicodeDecodeError:
        raise StackError(f"{file} is no text") from None
