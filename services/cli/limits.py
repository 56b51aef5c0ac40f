"""``limits``: what an account's or an organization's requests may use, and in which time."""

from typing import Annotated, Any

import typer

from deploy.local.errors import StackError
from services.cli.api import Api, OwnerAccount, OwnerOrganization, owner_path, with_api
from services.cli.output import as_json, as_table

limits = typer.Typer(no_args_is_help=True, help="Limits of accounts and organizations.")

Scope = Annotated[
    str,
    typer.Argument(
        metavar="SCOPE",
        help="all, member, team, key, model or key-model, each one of them; or one by its name, as in team:core, "
        "key:FINGERPRINT or model:openai/gpt-5.2.",
    ),
]
Settings = Annotated[
    list[str],
    typer.Argument(
        metavar="NAME=MOST...",
        help="requests_per_…, tokens_per_… or usd_per_… minute, hour, day, week or month; concurrent. "
        "`NAME=none` takes a limit away.",
    ),
]


@limits.command("show")
@with_api
def limits_show(api: Api, account_id: OwnerAccount = None, organization_id: OwnerOrganization = None) -> None:
    """Show an owner's limits, the operator's too, and how much of each is used."""
    _print(api, api.call("GET", f"{owner_path(account_id, organization_id)}/limits"))


@limits.command("set")
@with_api
def limits_set(
    api: Api,
    scope: Scope,
    settings: Settings,
    account_id: OwnerAccount = None,
    organization_id: OwnerOrganization = None,
) -> None:
    """Set limits of one scope; what is not named stays as it is."""
    body = {"scope": scope, "meters": parse_settings(settings)}
    _print(api, api.call("PATCH", f"{owner_path(account_id, organization_id)}/limits", body))


def parse_settings(settings: list[str]) -> dict[str, str | None]:
    """``NAME=MOST`` by name; None for ``none``. Raises StackError where there is no ``=``."""
    found: dict[str, str | None] = {}
    for setting in settings:
        name, equals, most = setting.partition("=")
        if not equals:
            raise StackError(f"{setting!r} is no limit; write NAME=MOST, for example usd_per_day=5.00")
        found[name] = None if most == "none" else most
    return found


def _print(api: Api, answer: dict[str, Any]) -> None:
    if api.json:
        as_json(answer)
        return
    rows = [
        {
            "scope": one["scope"],
            "limit": one["limit"],
            "most": one["most"],
            "used": "-" if one["used"] is None else one["used"],
            "by": one["of"] or "",
            "set by": one["set_by"],
            "begins anew": one["resets_at"] or "",
        }
        for one in answer["use"]
    ]
    as_table(rows, "no limits")
