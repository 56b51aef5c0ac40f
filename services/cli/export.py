"""``export``: everything that one owns, as files."""

import json
from pathlib import Path
from typing import Annotated

import typer

from deploy.local.errors import StackError
from deploy.local.home import write_private
from services.cli.api import Api, OwnerAccount, OwnerOrganization, owner_path, with_api
from services.cli.output import as_json, report

_USAGE = ("model", "member", "key", "day", "tag", "customer")
_ALL_TIME = "2020-01-01T00:00:00Z"
_EVERYWHERE = {
    "credit": "credit",
    "provider-keys": "provider-keys",
    **{f"usage-by-{by}": f"usage?by={by}&since={_ALL_TIME}" for by in _USAGE},
}
_OF_ACCOUNT = {"keys": "keys?limit=1000"}
_OF_ORGANIZATION = {"members": "members?limit=1000", "policy": "policy", "audit-trail": "audit?limit=1000"}


@with_api
def export(
    api: Api,
    folder: Annotated[Path, typer.Argument(help="A folder that is made for it.", file_okay=False)],
    account_id: OwnerAccount = None,
    organization_id: OwnerOrganization = None,
) -> None:
    """Write everything that an account or an organization owns, without secrets, prompts or answers."""
    if account_id is None and organization_id is None:
        account_id = api.call("GET", "/api/me")["account"]
    path = owner_path(account_id, organization_id)
    if folder.exists() and any(folder.iterdir()):
        raise StackError(f"{folder} is not empty")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    parts = _EVERYWHERE | (_OF_ORGANIZATION if organization_id else _OF_ACCOUNT)
    counts: dict[str, int] = {}
    for name, below in parts.items():
        content = api.rows(f"{path}/{below}") if below.endswith("limit=1000") else api.call("GET", f"{path}/{below}")
        write_private(folder / f"{name}.json", json.dumps(content, indent=2) + "\n")
        counts[name] = len(content) if isinstance(content, list) else 1
    counts["requests"] = _write_requests(api, f"{path}/requests?limit=1000", folder / "requests.jsonl")
    if api.json:
        as_json(counts)
    else:
        report(f"{sum(counts.values())} rows in {len(counts)} files are in {folder}")


def _write_requests(api: Api, path: str, file: Path) -> int:
    """One a line, page by page: a ledger may have more than memory."""
    write_private(file, "")
    count = 0
    with file.open("a") as lines:
        for page in api.pages(path):
            lines.writelines(json.dumps(row) + "\n" for row in page)
            count += len(page)
    return count
