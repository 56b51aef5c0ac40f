"""``python -m services.audit``: reads log and ledger, compares them, and exits with 1 where they differ.

Environment: ``SLUICE_KAFKA_*`` and ``SLUICE_DATABASE_URL`` (or ``..._FILE``) of metering's role. It reads only.
"""

import argparse
import asyncio
import dataclasses
import json
import os
import sys
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from contracts import topics
from contracts.charges import ChargePosted
from contracts.clock import now_ms
from contracts.credit import ReservationExceeded
from contracts.decisions import QuotaReserved
from contracts.record import Record
from contracts.requests import RequestAccepted
from contracts.topic import Topic
from libs.bus.reading import read_to_end
from libs.bus.records import PoisonError, decode
from libs.bus.settings import BusSettings
from libs.database.pool import AWAY
from libs.database.settings import DatabaseSettings
from libs.runtime.secret_files import SecretFileError, read_secret_files
from services.audit.core.comparing import Booked, Books, Report, audit

LOOK_AGAIN_S = 0.3
_BOOKED = (
    "select u.request_id, u.outcome, u.cost_microdollars, e.amount_microdollars, u.reserved_microdollars "
    "from ledger.usage u left join ledger.entries e on e.entry_id = u.request_id"
)


class Auditor:
    """Reads the books. The order makes a running Sluice auditable: log, then ledger, then charges."""

    def __init__(self, bus: BusSettings, database: DatabaseSettings, progress: Progress) -> None:
        self._bus = bus
        self._database = database
        self._progress = progress

    async def report(self, since_ms: int | None) -> Report:
        """Audits the requests that were accepted since then (epoch, ms; None: since the log begins)."""
        books = Books(now_ms=now_ms())
        begins: int | None = None
        async for record in self._read(topics.REQUESTS, since_ms):
            if record is None:
                books.unreadable += 1
                continue
            assert isinstance(record, RequestAccepted)
            if since_ms is None or record.accepted_at_ms >= since_ms:
                books.accepted[UUID(record.request_id)] = record.deadline_ms
                begins = min(begins or record.accepted_at_ms, record.accepted_at_ms)
        async for record in self._read(topics.QUOTA_DECISIONS, begins if since_ms is None else since_ms):
            if isinstance(record, QuotaReserved) and record.held:
                books.held[UUID(record.request_id)] = record.held.microdollars
        connection = await asyncpg.connect(self._database.url, server_settings={"timezone": "UTC"})
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                await self._read_ledger(connection, books, since_ms if begins is None else max(begins, since_ms or 0))
        finally:
            await connection.close()
        async for record in self._read(topics.CREDIT, begins if since_ms is None else since_ms):
            if isinstance(record, ReservationExceeded):
                books.announced.add(UUID(record.request_id))
        async for record in self._read(topics.CHARGES, begins if since_ms is None else since_ms):
            if isinstance(record, ChargePosted):
                books.take_charge(record)
        return audit(books)

    async def _read(self, topic: Topic[Any], since_ms: int | None) -> AsyncIterator[Record | None]:
        """Each record; None for one that cannot be read."""
        task = self._progress.add_task(f"reading {topic.name}", total=None)
        async for raw in read_to_end(self._bus, topic, since_ms=since_ms):
            self._progress.advance(task)
            try:
                yield decode(raw).record
            except PoisonError:
                yield None
        self._progress.update(task, total=1, completed=1)

    async def _read_ledger(self, connection: Any, books: Books, since_ms: int | None) -> None:
        task = self._progress.add_task("reading the ledger", total=None)
        # What was accepted after the log was read is not on our list, and not audited.
        newest = max((request_id.int >> 80 for request_id in books.accepted), default=0)
        if books.accepted:
            rows = connection.cursor(
                f"{_BOOKED} where u.request_id >= "
                "ledger.first_id(to_timestamp($1::bigint / 1000.0)) and u.request_id < "
                "ledger.first_id(to_timestamp($2::bigint / 1000.0))",
                since_ms,
                newest,
                prefetch=5_000,
            )
            async for request_id, *amounts in rows:
                books.booked[UUID(int=request_id.int)] = Booked(*amounts)
                self._progress.advance(task)
            late = [request_id for request_id in books.accepted if request_id not in books.booked]
            rows = await connection.fetch(
                f"{_BOOKED} where u.request_id = any($1)",
                late,
            )
            for request_id, *amounts in rows:
                books.booked[UUID(int=request_id.int)] = Booked(*amounts)
        waiting = await connection.fetch("select event_id from ledger.outbox where topic = $1", topics.CHARGES.name)
        books.unpublished = {UUID(row["event_id"]) for row in waiting}
        announcing = await connection.fetch(
            "select event_id from ledger.outbox where topic = $1 and event_id like '%/ReservationExceeded'",
            topics.CREDIT.name,
        )
        books.announced = {UUID(row["event_id"].partition("/")[0]) for row in announcing}
        books.balances = {
            row["owner"]: (row["balance"], row["derived"])
            for row in await connection.fetch(
                "select owner, coalesce(b.balance_microdollars, 0) as balance, "
                "coalesce(d.balance_microdollars, 0) as derived from ledger.balances b "
                "full join ledger.derived_balances d using (owner) "
                "where coalesce(b.balance_microdollars, 0) <> coalesce(d.balance_microdollars, 0)"
            )
        }
        # Sums are numeric: they need not fit a column.
        books.revenue = int(
            await connection.fetchval(
                "select coalesce(sum(amount_microdollars), 0) from ledger.entries where credit_account = 'revenue'"
            )
        )
        books.usage_total = int(
            await connection.fetchval("select coalesce(sum(cost_microdollars), 0) from ledger.usage")
        )
        books.rolled_up = int(
            await connection.fetchval("select coalesce(sum(cost_microdollars), 0) from ledger.usage_daily")
        )
        self._progress.update(task, total=1, completed=1)


async def run(since_ms: int | None, wait_s: float) -> Report:
    """Audits; while requests are in flight, or charges on their way, it looks again for up to ``wait_s`` seconds."""
    deadline_ms = now_ms() + wait_s * 1000
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed:,.0f}"))
    while True:
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            report = await Auditor(BusSettings(), DatabaseSettings(), progress).report(since_ms)
        if (report.holds and not report.in_flight) or now_ms() >= deadline_ms:
            return report
        await asyncio.sleep(LOOK_AGAIN_S)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="sluice audit", description=__doc__)
    parser.add_argument("--since-ms", type=int)
    parser.add_argument("--wait-s", type=float, default=0)
    options = parser.parse_args()
    try:
        read_secret_files(os.environ)
        report = asyncio.run(run(options.since_ms, options.wait_s))
    except (*AWAY, KafkaError) as error:
        sys.exit(f"sluice audit: log or ledger does not answer ({type(error).__name__})")
    except SecretFileError as error:
        sys.exit(f"sluice audit: {error}")
    # Not orjson: sums may have more than 64 bits.
    sys.stdout.write(json.dumps(dataclasses.asdict(report)) + "\n")
    sys.exit(0 if report.holds else 1)


if __name__ == "__main__":
    main()
