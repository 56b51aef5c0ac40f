"""``prices``: new prices from genai-prices, and recorded usage at other prices."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from deploy.local.errors import StackError
from services.cli.api import Api, OwnerAccount, OwnerOrganization, with_api
from services.cli.catalog import show_difference
from services.cli.output import as_json, as_table, report
from services.cli.times import moment

prices = typer.Typer(no_args_is_help=True, help="Prices of models: take new ones over, and settle differences.")

DATA_URL = "https://raw.githubusercontent.com/pydantic/genai-prices/refs/heads/main/prices/new_data/v2/data.json"
MOST_BYTES = 32 * 1024 * 1024
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@prices.command("update")
@with_api
def prices_update(
    api: Api,
    file: Annotated[
        Path | None, typer.Option(help="genai-prices' data.json; without it, the newest is fetched.", exists=True)
    ] = None,
    bundled: Annotated[bool, typer.Option("--bundled", help="Those that this Sluice came with.")] = False,
    yes: Yes = False,
) -> None:
    """Take over new prices for models whose price is not in the configuration; shows them, and asks."""
    # Late: it takes half a second.
    from libs.config.catalog import Catalog
    from libs.config.document import CatalogDocument
    from libs.pricing.book import is_from_genai, price_list, use_prices_of

    if not bundled:
        try:
            use_prices_of(file.read_bytes() if file else _fetched())
        except ValueError as error:
            raise StackError(str(error)) from None
    current = api.call("GET", "/api/catalog")
    catalog = Catalog(CatalogDocument.model_validate(current["document"]))
    found: dict[str, dict[str, Any]] = {}
    for model_id, providers in price_list(catalog).items():
        for provider_id, rules in providers.items():
            offer = catalog.offer(model_id, provider_id)
            if offer and is_from_genai(offer):
                listed = [rule.model_dump(mode="json", exclude_defaults=True) for rule in rules]
                if _content(listed) != _content(current["prices"].get(model_id, {}).get(provider_id)):
                    found.setdefault(model_id, {})[provider_id] = listed
    if not found:
        report("no price is different")
        return
    body = {"prices": found, "expected": current["version"]}
    if not yes:
        # Beside the current ones; nothing is sent before a yes.
        as_table(_rows(found, current["prices"]), "")
        if not typer.confirm(f"Change {sum(map(len, found.values()))} prices?", err=True):
            raise StackError("nothing was changed")
    show_difference(api, api.call("PUT", "/api/catalog/prices", body), "changed")


@prices.command("reprice")
@with_api
def prices_reprice(
    api: Api,
    version: Annotated[int, typer.Option(help="By whose prices; see `config history`.")],
    since: Annotated[str, typer.Option(help="30d, 24h, or a time.")],
    until: Annotated[str | None, typer.Option(help="Likewise; without it, now.")] = None,
    account_id: OwnerAccount = None,
    organization_id: OwnerOrganization = None,
    post: Annotated[
        bool, typer.Option("--post", help="Post adjusting entries, once the difference is confirmed.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Replay recorded usage against a version's prices, show the difference, and settle it if wanted.

    The same span again posts nothing more; spans that overlap would settle twice.
    """
    owner = f"acct:{account_id}" if account_id else f"org:{organization_id}" if organization_id else None
    ends = moment(until) if until else datetime.now(UTC).isoformat()
    body: dict[str, Any] = {"version": version, "since": moment(since), "until": ends, "owner": owner}
    found = api.call("POST", "/api/catalog/reprice", body)
    if not api.json:
        as_table(found["models"], "no usage")
        report(f"{found['requests']} requests, {found['difference_microdollars'] / 1e6:.6f} USD more than was charged")
        if found["unpriced"]:
            report(f"{found['unpriced']} of them have no price in version {version}, and stay as they are")
    if post and found["difference_microdollars"] | any(one["difference_microdollars"] for one in found["models"]):
        if not yes and not typer.confirm("Post adjusting entries for these differences?", err=True):
            raise StackError("nothing was posted")
        confirmed = {**body, "post": True, "expected_microdollars": found["difference_microdollars"]}
        found = api.call("POST", "/api/catalog/reprice", confirmed)
        if not api.json:
            as_table(found["posted"], "nothing to post")
    if api.json:
        as_json(found)


def _fetched() -> bytes:
    try:
        response = httpx.get(DATA_URL, timeout=30, follow_redirects=True)
        response.raise_for_status()
    except httpx.HTTPError as error:
        what = type(error).__name__
        raise StackError(f"genai-prices cannot be fetched ({what}); name its data.json with --file") from None
    if len(response.content) > MOST_BYTES:
        raise StackError("what answers for genai-prices is too large")
    return response.content


def _content(rules: Any) -> Any:
    """Prices without the name of their source: the same price from another release is no change."""
    return [{**rule, "price": {**rule["price"], "version": ""}} for rule in rules or []]


def _rows(found: dict[str, dict[str, Any]], before: dict[str, Any]) -> list[dict[str, Any]]:
    def shown(rules: Any) -> str:
        tiers = [tier for rule in rules or [] for tier in rule["price"]["tiers"]]
        return "; ".join(f"{tier['input'] / 1e6:g} in, {tier['output'] / 1e6:g} out" for tier in tiers) or "none"

    return [
        {
            "model": model,
            "provider": provider,
            "USD/M before": shown(before.get(model, {}).get(provider)),
            "after": shown(rules),
        }
        for model, providers in found.items()
        for provider, rules in providers.items()
    ]
