"""The answer cache, from a terminal: ``cache clear``. See docs/answer-cache.md."""

from typing import Annotated

import typer

from deploy.local.errors import StackError
from services.cli.client import Login
from services.cli.output import Json, as_json, report
from services.cli.running import running

cache = typer.Typer(no_args_is_help=True, help="Answers that are given again.")
ORGANIZATION_HEADER = "X-KiloCode-OrganizationId"


@cache.callback()
def _group() -> None:
    """A group, also of one command."""


@cache.command()
def clear(
    gateway: Annotated[
        str | None, typer.Option(help="The gateway's address, with /api/gateway; without: of what runs here.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", envvar="SLUICE_KEY", help="An API key; without: that of the login.")
    ] = None,
    organization_id: Annotated[str | None, typer.Option("--org", help="Of this organization.")] = None,
    json: Json = False,
) -> None:
    """Forget the answers that would be given again to a key's account, or to its organization."""
    import httpx  # It takes a third of a command's start.

    login = Login.read()
    key = key or (login.key if login else None)
    if not key:
        raise StackError("whose answers? --key API_KEY (or SLUICE_KEY), or a login: `./sluice login`")
    headers = {"Authorization": f"Bearer {key}"}
    if organization_id:
        headers[ORGANIZATION_HEADER] = organization_id
    url = (gateway or running()[1].base_url).rstrip("/")
    try:
        answer = httpx.delete(f"{url}/cache", headers=headers, timeout=30, trust_env=False)
        content = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        raise StackError(f"the gateway at {url} does not answer") from None
    if answer.is_error:
        raise StackError(str(content.get("error", {}).get("message", "the gateway refused")))
    if json:
        as_json(content)
    else:
        report(f"forgotten: {content['owner']}")
