"""``policy``: rules of organizations, and what they would do."""

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from deploy.local.errors import StackError
from services.cli.api import Api, OrganizationArgument, with_api
from services.cli.output import as_json, as_table, out
from services.cli.times import moment

policy = typer.Typer(no_args_is_help=True, help="Policies of organizations.")

DOCUMENT = (
    "YAML: model_allow, provider_allow, data_collection, member_daily_limit_usd, member_daily_limits_usd, guardrails, "
    "mcp; a rule that is left out allows all."
)
Draft = Annotated[Path | None, typer.Option("--policy", help=f"A draft. {DOCUMENT}", exists=True, dir_okay=False)]


@policy.command("show")
@with_api
def policy_show(api: Api, organization_id: OrganizationArgument) -> None:
    """Show an organization's policy."""
    api.show("GET", f"/api/organizations/{organization_id}/policy")


@policy.command("set")
@with_api
def policy_set(
    api: Api,
    organization_id: OrganizationArgument,
    file: Annotated[Path, typer.Argument(help=DOCUMENT, exists=True, dir_okay=False)],
) -> None:
    """Set an organization's policy from a file."""
    api.show("PUT", f"/api/organizations/{organization_id}/policy", _read(file))


@policy.command("webhook")
@with_api
def policy_webhook(
    api: Api,
    organization_id: OrganizationArgument,
    address: Annotated[str | None, typer.Option(help="Its URL; without it, it is shown.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Forget it.")] = False,
) -> None:
    """Show, set or remove the webhook that guardrails ask; a new one's secret is shown once."""
    path = f"/api/organizations/{organization_id}/guardrail-webhook"
    if remove:
        api.show("DELETE", path)
    elif address:
        api.show("PUT", path, {"url": address})
    else:
        api.show("GET", path)


@policy.command("check")
@with_api
def policy_check(
    api: Api,
    organization_id: OrganizationArgument,
    model: Annotated[str, typer.Option(help="The model that would be asked for.")],
    account_id: Annotated[str | None, typer.Option("--account", help="Who would ask; without it, you.")] = None,
    draft: Draft = None,
) -> None:
    """Show whether a request would pass, and which rule refuses it if not."""
    body: dict[str, Any] = {"model": model} | ({"account": account_id} if account_id else {})
    if draft:
        body["policy"] = _read(draft)
    api.show("POST", f"/api/organizations/{organization_id}/policy/check", body)


@policy.command("replay")
@with_api
def policy_replay(
    api: Api,
    organization_id: Annotated[str, typer.Option("--org", help="The organization's ID.")],
    draft: Annotated[Path, typer.Option("--policy", help=f"The draft. {DOCUMENT}", exists=True, dir_okay=False)],
    since: Annotated[str, typer.Option(help="30d, 24h, or a time.")] = "24h",
) -> None:
    """Run a draft over the requests that were made, and show what it would newly refuse or allow."""
    body = {"policy": _read(draft), "since": moment(since)}
    path = f"/api/organizations/{organization_id}/policy/replay"
    content = api.call("POST", path, body)
    if api.json:
        as_json(content)
        return
    out.print(f"{content['requests']} requests since {content['since']}", markup=False)
    for name in ("newly_refused", "newly_allowed", "days_over_limit"):
        out.print(f"\n{name.replace('_', ' ')}", markup=False)
        as_table(content[name], "none")


def _read(file: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(file.read_text()) or {}
    except yaml.YAMLError as error:
        raise StackError(f"{file} is not YAML: {error}") from None
    if not isinstance(document, dict):
        raise StackError(f"{file} is not a policy. {DOCUMENT}")
    # YAML reads 5.00 as a number; amounts are decimal strings.
    if isinstance(document.get("member_daily_limit_usd"), int | float):
        document["member_daily_limit_usd"] = str(document["member_daily_limit_usd"])
    own = document.get("member_daily_limits_usd")
    if isinstance(own, dict):
        document["member_daily_limits_usd"] = {name: str(amount) for name, amount in own.items()}
    return document
