"""Versions of the catalog. A version, its audit entry and its record are one transaction; none is ever changed."""

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Literal

import orjson

from contracts import topics
from contracts.catalog import MOST_VERSIONS, CatalogPublished, PriceList
from libs.config.catalog import Catalog
from libs.config.document import CatalogDocument, document_of
from libs.config.gateway import GatewayConfig
from libs.database.pool import Connection
from libs.pricing.book import price_list
from services.console.answers import Answer
from services.console.core.authorization import Actor
from services.console.core.cursors import Position, Slice
from services.console.errors import Conflict, NotFound
from services.console.outbox import enqueue, enqueue_deletion
from services.console.store.audit import note

Source = Literal["start", "apply", "rollback", "prices"]
AT_START = Actor(None, frozenset(), "the start of the console")


class CatalogVersion(Answer):
    """A version, without what it holds."""

    version: int
    source: Source
    """``start``: the configuration file that the console was started with."""
    set_by: str
    set_at: datetime
    models: int
    providers: int

    @property
    def position(self) -> Position:
        """Among versions."""
        return Position(self.set_at, str(self.version))


async def newest(connection: Connection) -> CatalogPublished | None:
    """The version that counts; None before the first."""
    return _record(await connection.fetchrow("select * from control.catalog order by version desc limit 1"))


async def find(connection: Connection, version: int) -> CatalogPublished:
    """A version, however old. Raises NotFound."""
    found = _record(await connection.fetchrow("select * from control.catalog where version = $1", version))
    if found is None:
        raise NotFound(f"there is no version {version} of the catalog")
    return found


async def history(connection: Connection, part: Slice) -> list[CatalogVersion]:
    """The versions, newest first."""
    rows = await connection.fetch(
        "select version, source, set_by, set_at, models, providers from control.catalog "
        "where $2::bigint is null or version < $2 order by version desc limit $1",
        part.rows,
        int(part.id) if part.id.isdecimal() and len(part.id) < 10 else None,
    )
    return [CatalogVersion(**row) for row in rows]


async def publish(
    connection: Connection,
    actor: Actor,
    source: Source,
    document: dict[str, Any],
    prices: PriceList,
    *,
    expected: int | None = None,
) -> CatalogPublished:
    """Makes the next version.

    Args:
        document: that was read by `CatalogDocument` before.
        expected: the version that it follows, where its author has seen one.

    Raises:
        Conflict: another one came meanwhile.
    """
    await connection.execute("lock table control.catalog in exclusive mode")
    before: int = await connection.fetchval("select coalesce(max(version), 0) from control.catalog")
    if expected is not None and expected != before:
        raise Conflict(f"version {before} of the catalog came meanwhile; look at the difference again")
    now = datetime.now(UTC)
    record = CatalogPublished(
        version=before + 1, published_at_ms=int(now.timestamp() * 1000), document=document, prices=prices
    )
    await connection.execute(
        "insert into control.catalog (version, source, digest, record, models, providers, set_by, set_at) "
        "values ($1, $2, $3, $4, $5, $6, $7, $8)",
        record.version,
        source,
        digest(document),
        record.encode().decode(),
        len({model["id"] for model in document.get("models", ())}),
        len(document.get("providers", ())),
        actor.name,
        now,
    )
    await enqueue(connection, topics.CATALOG, record)
    if record.version > MOST_VERSIONS:
        await enqueue_deletion(connection, topics.CATALOG, str(record.version - MOST_VERSIONS))
    await note(connection, actor, f"catalog.{source}", str(record.version))
    return record


async def publish_at_start(connection: Connection, config: GatewayConfig) -> CatalogPublished:
    """The configuration file is the first version, and again one where it differs from that of the last start.

    What was applied since stays in force over a restart with the same file.
    """
    await connection.execute("lock table control.catalog in exclusive mode")
    document = document_of(config)
    current = await newest(connection)
    started = await connection.fetchval(
        "select digest from control.catalog where source = 'start' order by version desc limit 1"
    )
    if current is not None and started == digest(document):
        return current
    catalog = Catalog(CatalogDocument.model_validate(document))
    before = Catalog.of(current) if current else None
    return await publish(connection, AT_START, "start", document, price_list(catalog, before))


def digest(document: dict[str, Any]) -> str:
    """Of a document: the same for the same content."""
    return sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _record(row: Any) -> CatalogPublished | None:
    return None if row is None else CatalogPublished.model_validate_json(row["record"])
