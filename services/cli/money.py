"""``credit``, ``balance`` and ``usage``."""

import csv
import secrets
import sys
import time
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from deploy.local.errors import StackError
from services.cli.api import Api, OwnerAccount, OwnerOrganization, owner_path, with_api
from services.cli.output import as_json, as_table, out, report
from services.cli.times import moment

credit = typer.Typer(no_args_is_help=True, help="Prepaid credit.")

ENTERED_WITHIN_S = 30
Usd = Annotated[str, typer.Option("--usd", help="US dollars, for example 10.00.")]
Reference = Annotated[str, typer.Option(help="Of the payment, or the reason.")]
Once = Annotated[
    str | None,
    typer.Option("--idempotency-key", help="The same key again orders nothing more; for scripts that retry."),
]


@credit.command("add")
@with_api
def credit_add(
    api: Api,
    usd: Usd,
    account_id: OwnerAccount = None,
    organization_id: OwnerOrganization = None,
    reference: Reference = "",
    once: Once = None,
) -> None:
    """Add credit: money that was paid."""
    _order(api, "top_up", usd, owner_path(account_id, organization_id), reference, once)


@credit.command("refund")
@with_api
def credit_refund(
    api: Api,
    usd: Usd,
    account_id: OwnerAccount = None,
    organization_id: OwnerOrganization = None,
    reference: Reference = "",
    once: Once = None,
) -> None:
    """Take credit back: money that was paid out. Not more than is left."""
    _order(api, "refund", f"-{usd}", owner_path(account_id, organization_id), reference, once)


@credit.command("adjust", context_settings={"ignore_unknown_options": True})
@with_api
def credit_adjust(
    api: Api,
    usd: Usd,
    reference: Annotated[str, typer.Option(help="The reason; it stays in the ledger.")],
    account_id: OwnerAccount = None,
    organization_id: OwnerOrganization = None,
    once: Once = None,
) -> None:
    """Correct credit without money: up, or (``--usd -1.50``) down, not below what is left."""
    _order(api, "adjustment", usd, owner_path(account_id, organization_id), reference, once)


@credit.command("settings")
@with_api
def credit_settings(
    api: Api,
    account_id: OwnerAccount = None,
    organization_id: OwnerOrganization = None,
    alert_below: Annotated[str | None, typer.Option(help="Alert when the balance falls below so many dollars.")] = None,
    top_up_below: Annotated[str | None, typer.Option(help="Ask for a top-up below so many dollars.")] = None,
    top_up: Annotated[str | None, typer.Option(help="Of so many dollars.")] = None,
) -> None:
    """Set when alerts and top-ups are due (events on billing.credit.v1); without a threshold, never."""
    given = {"alert_below": alert_below, "top_up_below": top_up_below, "top_up": top_up}
    body = {name: amount for name, amount in given.items() if amount is not None}
    api.show("PUT", f"{owner_path(account_id, organization_id)}/credit/settings", body)


@with_api
def balance(
    api: Api,
    account_id: OwnerAccount = None,
    organization_id: OwnerOrganization = None,
) -> None:
    """Show what is left of a credit, and its newest top-ups; without a name, of the account whose key this is."""
    if account_id is None and organization_id is None:
        account_id = api.call("GET", "/api/me")["account"]
        if account_id is None:
            raise StackError("name the owner: --account ID or --org ID")
    content = api.call("GET", f"{owner_path(account_id, organization_id)}/credit")
    if api.json:
        as_json(content)
        return
    out.print(f"{content['owner']} has {content['balance']} USD", markup=False)
    if content["settings"]:
        given = (f"{name.replace('_', ' ')} {amount}" for name, amount in content["settings"].items() if amount)
        out.print(f"settings: {', '.join(given) or 'none'}", markup=False)
    as_table(content["entries"], "no top-ups yet")


@with_api
def usage(
    api: Api,
    by: Annotated[str, typer.Option(help="model, member, key, day, tag, customer or provider.")] = "model",
    since: Annotated[str, typer.Option(help="30d, 12h, or a time such as 2026-11-01T00:00:00Z.")] = "30d",
    until: Annotated[str | None, typer.Option(help="The same forms; without it, now.")] = None,
    account_id: OwnerAccount = None,
    organization_id: OwnerOrganization = None,
    of_key: Annotated[str | None, typer.Option(help="Only of the key with this fingerprint.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only of requests with this tag.")] = None,
    customer: Annotated[str | None, typer.Option(help="Only for this customer, as requests name it.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV on stdout.")] = False,
) -> None:
    """Show who used what: of an organization, of an account, or (operator) of all."""
    path = owner_path(account_id, organization_id) if account_id or organization_id else "/api"
    only = {"until": moment(until) if until else None, "key": of_key, "tag": tag, "customer": customer}
    query = {"by": by, "since": moment(since)} | {name: value for name, value in only.items() if value is not None}
    rows: list[dict[str, Any]] = api.call("GET", f"{path}/usage?{urlencode(query)}")
    if api.json:
        as_json(rows)
    elif as_csv:
        writer = csv.DictWriter(sys.stdout, rows[0] if rows else [by], lineterminator="\n")
        writer.writeheader()
        writer.writerows(row | _in_words(row) for row in rows)
    else:
        as_table(
            [
                {name: value for name, value in (row | _in_words(row)).items() if name != "cost_microdollars"}
                for row in rows
            ],
            "none yet",
        )


def _in_words(row: dict[str, Any]) -> dict[str, str]:
    """What was used beside tokens: ``3 image, 12 second``."""
    return {"units": ", ".join(f"{amount} {unit}" for unit, amount in row["units"].items())}


def _order(api: Api, kind: str, usd: str, path: str, reference: str, once: str | None) -> None:
    """Orders, and waits until the ledger has it."""
    body = {"kind": kind, "usd": usd, "reference": reference}
    ordered = api.call("POST", f"{path}/credit", body, {"Idempotency-Key": once or secrets.token_hex(16)})
    deadline = time.monotonic() + ENTERED_WITHIN_S
    while time.monotonic() < deadline:
        content = api.call("GET", f"{path}/credit")
        if any(entry["id"] == ordered["id"] for entry in content["entries"]):
            if api.json:
                as_json(
                    {**ordered, "balance": content["balance"], "balance_microdollars": content["balance_microdollars"]}
                )
            else:
                report(f"{ordered['usd']} USD entered; {content['owner']} has {content['balance']} USD")
            return
        time.sleep(0.05)
    raise StackError(f"ordered as {ordered['id']}, but metering has not entered it yet; `./sluice balance` shows when")
