"""The catalog: what is served and at which price, as versions (operator)."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from contracts.catalog import CatalogPublished, PriceList
from contracts.credit import CreditKind
from libs.config.catalog import Catalog
from libs.config.changes import changes, only_at_start
from libs.config.document import SECTIONS, CatalogDocument, document_of
from libs.config.pins import Pins
from libs.config.reading import MOST_CHARACTERS, DocumentError, read_config
from libs.pricing.book import is_from_genai, price_list
from libs.pricing.usd import usd
from services.console.answers import Answer, Body
from services.console.core.repricing import Repricing
from services.console.editing import Match, tag
from services.console.errors import BadInput, Conflict
from services.console.paging import Page
from services.console.session import Call, Session
from services.console.store import catalog, credit, usage
from services.console.store.catalog import CatalogVersion, Source
from services.console.store.credit import Ordered
from services.console.store.repricing import reprice

routes = APIRouter(prefix="/api/catalog", tags=["operator"])
Number = Annotated[int, Path(ge=1, lt=2**31)]


class CatalogFile(Body):
    """A configuration file."""

    document: Annotated[str, Field(max_length=MOST_CHARACTERS)]
    """YAML."""
    expected: int | None = None
    """The version that it is to follow; another one is a conflict."""


class CatalogPrices(Body):
    """Prices to take over from genai-prices."""

    prices: PriceList
    expected: int | None = None


class CatalogRollback(Body):
    """A version to bring back."""

    version: Annotated[int, Field(ge=1)]


class CatalogChange(Answer):
    """One difference; null: it is not there."""

    what: str
    before: str | None
    after: str | None


class CatalogDifference(Answer):
    """What a document would change, or has changed."""

    version: int
    """That holds now: the same as before where nothing is different."""
    changes: list[CatalogChange]
    notes: list[str]
    """What a version does not carry, and other advice."""


class CatalogContent(Answer):
    """A version, whole."""

    version: int
    document: dict[str, Any]
    prices: PriceList


class RepriceOrder(Body):
    """Recorded usage, at the prices of another version."""

    version: Annotated[int, Field(ge=1)]
    since: datetime
    until: datetime
    owner: Annotated[str | None, Field(max_length=140)] = None
    """``acct:<id>`` or ``org:<id>``; without it, everybody who pays."""
    post: bool = False
    """Post an adjusting entry for each owner; the same order again posts nothing more."""
    expected_microdollars: int | None = None
    """With `post`: the difference that was shown; another one is a conflict."""


class RepricedModel(Answer):
    """One owner's requests for one model, in microdollars."""

    owner: str
    model: str
    requests: int
    charged_microdollars: int
    repriced_microdollars: int
    difference_microdollars: int
    """Above 0 where more was due."""


class Repriced(Answer):
    """The difference, and what was posted."""

    version: int
    requests: int
    unpriced: int
    """Without a price in that version; they stay as they are."""
    difference_microdollars: int
    models: list[RepricedModel]
    posted: list[Ordered]


@routes.post("/reprice")
async def reprice_usage(body: RepriceOrder, call: Call) -> Repriced:
    """Replay recorded usage against a version's prices; with `post`, settle the difference (operator)."""
    call.check_operator()
    repricing = Repricing(Catalog.of(await catalog.find(call.connection, body.version)))
    over = usage.span(body.since, body.until)
    await reprice(call.connection, repricing, over, body.owner)
    models = [
        RepricedModel(
            owner=owner,
            model=model,
            requests=one.requests,
            charged_microdollars=one.charged_microdollars,
            repriced_microdollars=one.repriced_microdollars,
            difference_microdollars=one.repriced_microdollars - one.charged_microdollars,
        )
        for (owner, model), one in sorted(repricing.sums.items())
    ]
    difference = sum(one.difference_microdollars for one in models)
    posted: list[Ordered] = []
    if body.post:
        if body.expected_microdollars != difference:
            raise Conflict(f"the difference is {usd(difference)} USD now; look at it, and confirm that")
        about = f"repriced by version {body.version}, {over.since:%Y-%m-%dT%H:%M:%SZ} to {body.until.isoformat()}"
        once = f"reprice-{body.version}-{int(over.since.timestamp() * 1000)}-{int(body.until.timestamp() * 1000)}"
        for owner, amount in sorted(repricing.adjustments().items()):
            wanted = credit.Order(CreditKind.ADJUSTMENT, amount, about)
            posted.append(await credit.order(call.connection, call.actor, owner, wanted, once, overdraws=True))
    return Repriced(
        version=body.version,
        requests=sum(one.requests for one in models),
        unpriced=repricing.unpriced,
        difference_microdollars=difference,
        models=models,
        posted=posted,
    )


@routes.get("")
async def show_catalog(
    call: Call, response: Response, version: Annotated[int | None, Query(ge=1)] = None
) -> CatalogContent:
    """The version that holds, or one before it (operator)."""
    call.check_operator()
    found = await (catalog.find(call.connection, version) if version else _newest(call))
    tag(response, found.version)
    return CatalogContent(version=found.version, document=found.document, prices=found.prices)


@routes.get("/versions")
async def list_catalog_versions(call: Call, page: Page) -> list[CatalogVersion]:
    """All versions, newest first (operator)."""
    call.check_operator()
    return page.of(await catalog.history(call.connection, page.slice))


@routes.get("/versions/{version}/changes")
async def compare_catalog_versions(
    version: Number,
    call: Call,
    against: Annotated[
        int | None, Query(ge=1, lt=2**31, description="Another version; without it, the one before.")
    ] = None,
) -> CatalogDifference:
    """What is different in a version from another one (operator)."""
    call.check_operator()
    return await changed_by(call, version, against)


async def changed_by(call: Session, version: int, against: int | None) -> CatalogDifference:
    """What is different in a version from another one; None: from the one before, or from nothing."""
    after = await catalog.find(call.connection, version)
    before = await catalog.find(call.connection, against or version - 1) if against or version > 1 else None
    return _difference(before, after, version, [])


@routes.post("/diff")
async def compare_catalog(body: CatalogFile, call: Call) -> CatalogDifference:
    """What a configuration file would change; nothing is (operator)."""
    call.check_operator()
    before = await _newest(call)
    after, notes = _drafted(call, body.document, before)
    return _difference(before, after, before.version, notes)


@routes.put("")
async def apply_catalog(body: CatalogFile, call: Call, match: Match) -> CatalogDifference:
    """Make a configuration file the next version; all services have it within a second (operator)."""
    call.check_operator()
    before = await _newest(call)
    match.check(before.version)
    after, notes = _drafted(call, body.document, before)
    return await _published(call, "apply", before, after, notes, body.expected)


@routes.post("/rollback")
async def roll_back_catalog(body: CatalogRollback, call: Call, match: Match) -> CatalogDifference:
    """Make a former version, prices included, the next one (operator)."""
    call.check_operator()
    match.check((await _newest(call)).version)
    return await roll_back(call, body.version, None)


async def roll_back(call: Session, version: int, expected: int | None) -> CatalogDifference:
    """Makes a former version the next one. Raises Conflict where another one holds than ``expected``."""
    before, former = await _newest(call), await catalog.find(call.connection, version)
    return await _published(call, "rollback", before, former, [], expected)


@routes.put("/prices")
async def update_prices(body: CatalogPrices, call: Call, match: Match) -> CatalogDifference:
    """Take other prices for models whose prices are not in the file (operator)."""
    call.check_operator()
    before = await _newest(call)
    match.check(before.version)
    offers = Catalog.of(before)
    prices = {model_id: dict(providers) for model_id, providers in before.prices.items()}
    for model_id, providers in body.prices.items():
        for provider_id, rules in providers.items():
            offer = offers.offer(model_id, provider_id)
            if offer is None or not is_from_genai(offer) or not rules:
                raise BadInput(f"{model_id} at {provider_id} has no price of genai-prices")
            prices.setdefault(model_id, {})[provider_id] = rules
    after = before.model_copy(update={"prices": prices})
    return await _published(call, "prices", before, after, [], body.expected)


async def _newest(call: Session) -> CatalogPublished:
    found = await catalog.newest(call.connection)
    assert found is not None
    return found


def _drafted(call: Session, text: str, before: CatalogPublished) -> tuple[CatalogPublished, list[str]]:
    try:
        config = read_config(text)
    except DocumentError as error:
        raise BadInput(str(error)) from None
    pins = Pins.of(call.parts.config)
    if elsewhere := [name for name, provider in config.providers.items() if not pins.allow(provider)]:
        raise BadInput(" ".join(map(pins.refused, sorted(elsewhere))))
    document = document_of(config)
    prices = price_list(Catalog(CatalogDocument.model_validate(document)), Catalog.of(before))
    running = call.parts.config
    notes = [f"{name}: it is read at the start only" for name in only_at_start(running, config, SECTIONS)]
    return before.model_copy(update={"document": document, "prices": prices}), notes


async def _published(
    call: Session,
    source: Source,
    before: CatalogPublished,
    after: CatalogPublished,
    notes: list[str],
    expected: int | None,
) -> CatalogDifference:
    if (before.document, before.prices) == (after.document, after.prices):
        return CatalogDifference(version=before.version, changes=[], notes=[*notes, "nothing is different"])
    made = await catalog.publish(call.connection, call.actor, source, after.document, after.prices, expected=expected)
    return _difference(before, after, made.version, notes)


def _difference(
    before: CatalogPublished | None, after: CatalogPublished, version: int, notes: list[str]
) -> CatalogDifference:
    found = [CatalogChange(what=one.what, before=one.before, after=one.after) for one in changes(before, after)]
    return CatalogDifference(version=version, changes=found, notes=notes)
