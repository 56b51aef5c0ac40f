"""The ledger on a real PostgreSQL: against a plain model, records delivered twice and shuffled, cut off, changed."""

import asyncio
import random
import secrets
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from aiokafka import TopicPartition
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import services.metering
from contracts.clock import now_ms
from contracts.credit import CreditKind, CreditOrdered, CreditSettingsSet
from contracts.decisions import QuotaReserved
from contracts.labels import Labels
from contracts.prices import Price
from contracts.quantities import Quantity, Unit
from contracts.replies import Outcome
from contracts.requests import Caller
from contracts.services import RATE_LIMIT
from contracts.topics import BY_NAME, REQUESTS, USAGE
from contracts.usage import TokenUsage, UsageRecorded
from deploy.local.postgres import provision
from libs.bus.dead_letters import DeadLetters
from libs.bus.processor import Work
from libs.bus.producer import settle
from libs.bus.records import Received
from libs.bus.service import Service
from libs.bus.settings import BusSettings
from libs.bus.signing import NOBODY
from libs.config.catalog import Catalog
from libs.config.gateway import Billing, Timeouts, load_config
from libs.database.migrate import migrate
from libs.database.pool import Database
from libs.database.revisions import newest_revision
from libs.database.settings import DatabaseSettings
from libs.pricing.book import price_list
from libs.pricing.charging import cost_of
from libs.runtime.health import Health
from services.metering.core.pricing import charge
from services.metering.store.ledger import Ledger
from services.metering.store.rows import Metered
from services.rate_limit.core.bounds import Views
from services.rate_limit.core.timeliness import OutOfTimeCount
from services.rate_limit.handlers import QuotaProcessor
from tests.integration.publishing import running_producer
from tests.stacks import CONFIG, Gateway
from tests.unit.bus import PromptLog
from tests.unit.records import NOW_MS, PRICE, accepted, policy, versions_of

MIGRATIONS = Path(services.metering.__file__).with_name("migrations")
MONTHS_MS = (NOW_MS, NOW_MS - 40 * 86_400_000, NOW_MS + 40 * 86_400_000)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def url(gateway: Gateway) -> AsyncIterator[str]:
    """A database with nothing but an empty ledger."""
    name = "ledger_test"
    await gateway.database.execute(f"drop database if exists {name} with (force)")
    await gateway.database.execute(f"create database {name}")
    admin, own = (
        one.rpartition("/")[0] + f"/{name}"
        for one in (gateway.stack.postgres.admin_url(), gateway.stack.postgres.url("metering"))
    )
    passwords = {
        service: gateway.stack.postgres.url(service).split(":")[2].split("@")[0]
        for service in ("console", "key-vault", "metering")
    }
    await provision(admin, passwords)
    await asyncio.to_thread(migrate, own, "ledger", MIGRATIONS)
    yield own


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pool(url: str) -> AsyncIterator["asyncpg.Pool[Any]"]:
    made = await asyncpg.create_pool(url, min_size=1, max_size=4, server_settings={"timezone": "UTC"})
    yield made
    made.terminate()


UNITS = (Unit.IMAGE, Unit.SECOND)
LABELS = (None, Labels(customer="c", metadata={"n": "v"}), Labels(tags=["a", "b"]))


def _ledger(pool: Any, alerts: dict[str, CreditSettingsSet] | None = None) -> Ledger:
    database: Any = SimpleNamespace(pool=pool)
    return Ledger(database, alerts or {})


def _new_id(at_ms: int) -> str:
    rest = secrets.token_hex(10)
    return f"{at_ms >> 16:08x}-{at_ms & 0xFFFF:04x}-7{rest[:3]}-8{rest[3:6]}-{rest[6:18]}"


def _metered(owner: str, output_tokens: int, at_ms: int = NOW_MS, price: Price = PRICE, **changes: Any) -> Metered:
    request = accepted(request_id=_new_id(at_ms), accepted_at_ms=at_ms)
    usage = UsageRecorded(
        request_id=request.request_id,
        subject=f"acct:{owner}",
        caller=Caller(account_id=owner, key_fingerprint="f"),
        surface=request.surface,
        model="stub/echo",
        outcome=Outcome.COMPLETED,
        status=200,
        tokens=TokenUsage(input_tokens=0, output_tokens=output_tokens),
        quantities=[Quantity(unit=unit, amount=1, kind="hd") for unit in UNITS[: output_tokens % 3]],
        catalog_version=1,
        attempts=1,
        accepted_at_ms=at_ms,
        ended_at_ms=at_ms,
    ).model_copy(update=changes)
    cost = cost_of(usage, price)
    return Metered(usage, charge(usage, cost, at_ms), "", cost.price)


def _top_up(owner: str, amount: int) -> CreditOrdered:
    return CreditOrdered(
        entry_id=_new_id(NOW_MS),
        owner=f"acct:{owner}",
        kind=CreditKind.TOP_UP if amount > 0 else CreditKind.REFUND,
        amount_microdollars=amount,
        ordered_by="operator",
        ordered_at_ms=NOW_MS,
    )


class Model:
    """The ledger in a dozen lines."""

    def __init__(self) -> None:
        self.entries: dict[str, tuple[str, int]] = {}

    def take(self, one: Metered | CreditOrdered) -> None:
        if isinstance(one, CreditOrdered):
            self.entries.setdefault(one.entry_id, (one.owner, one.amount_microdollars))
        else:
            owner = f"acct:{one.usage.caller.account_id}"
            self.entries.setdefault(one.usage.request_id, (owner, -8 * one.usage.tokens.output_tokens))

    def balances(self) -> dict[str, int]:
        sums: dict[str, int] = defaultdict(int)
        for owner, amount in self.entries.values():
            if amount:
                sums[owner] += amount
        return dict(sums)


async def _tell(ledger: Ledger, story: list[Metered | CreditOrdered]) -> None:
    """In batches, as metering does."""
    batch: list[Metered] = []
    for one in story:
        if isinstance(one, Metered):
            batch.append(one)
            if len(batch) < 4:
                continue
        if batch:
            await ledger.write(batch)
            batch = []
        if isinstance(one, CreditOrdered):
            await ledger.order(one)
    if batch:
        await ledger.write(batch)


async def _balances(connection: Any, owners: set[str]) -> dict[str, int]:
    rows = await connection.fetch(
        "select owner, balance_microdollars from ledger.balances where owner = any($1)", owners
    )
    return {row["owner"]: row["balance_microdollars"] for row in rows}


stories = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(-500, 500), st.sampled_from(MONTHS_MS)), min_size=1, max_size=20
)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stories, st.randoms(use_true_random=False))
async def test_told_twice_and_shuffled_it_is_the_plain_model(
    pool: "asyncpg.Pool[Any]", moves: list[tuple[str, int, int]], chance: random.Random
) -> None:
    story: list[Metered | CreditOrdered] = []
    run, model = secrets.token_hex(4), Model()
    for name, amount, at_ms in moves:
        owner = f"{name}{run}"
        story.append(_top_up(owner, amount) if amount % 3 and amount else _metered(owner, abs(amount), at_ms))
    again = story * 2
    chance.shuffle(again)
    for one in again:
        model.take(one)
    await _tell(_ledger(pool), again)
    owners = {f"acct:{name}{run}" for name, *_ in moves}
    assert await _balances(pool, owners) == model.balances()
    ids = [one.usage.request_id for one in story if isinstance(one, Metered)]
    usage = await pool.fetch(
        "select request_id::text, cost_microdollars from ledger.usage where owner = any($1)", owners
    )
    assert Counter(row["request_id"] for row in usage) == Counter(ids)
    rolled_up = await pool.fetchrow(
        "select coalesce(sum(requests), 0) as n, coalesce(sum(cost_microdollars), 0) as cost "
        "from ledger.usage_daily where owner = any($1)",
        owners,
    )
    assert rolled_up is not None
    assert (rolled_up["n"], rolled_up["cost"]) == (len(ids), sum(row["cost_microdollars"] for row in usage))
    units = await pool.fetch("select unit, amount from ledger.units_daily where owner = any($1)", owners)
    counted = Counter(
        quantity.unit.value
        for one in {one.usage.request_id: one for one in story if isinstance(one, Metered)}.values()
        for quantity in one.usage.quantities
    )
    assert sum((Counter({row["unit"]: row["amount"]}) for row in units), Counter()) == counted
    published = await pool.fetch(
        "select event_id from ledger.outbox where topic = 'billing.charges.v1' and key = any($1)", owners
    )
    assert Counter(row["event_id"] for row in published) == Counter(ids)


class CutOffError(Exception):
    """The connection went."""


def _cut_off_at(pool: Any, step: int) -> tuple[Any, Iterator[int]]:
    """A pool whose connection is gone before its n-th statement, as after kill -9 of the process that has it."""
    count = iter(range(10**6))

    class Cut:
        def __init__(self, connection: Any) -> None:
            self._connection = connection

        def __getattr__(self, name: str) -> Any:
            found = getattr(self._connection, name)
            if name not in ("fetch", "fetchrow", "fetchval", "execute", "executemany"):
                return found

            async def call(*arguments: Any) -> Any:
                if next(count) == step:
                    self._connection.terminate()
                    raise CutOffError
                return await found(*arguments)

            return call

    class Pool:
        @asynccontextmanager
        async def acquire(self) -> AsyncIterator[Any]:
            async with pool.acquire() as connection:
                yield Cut(connection)

        async def execute(self, *arguments: Any) -> Any:
            return await pool.execute(*arguments)

    return Pool(), count


async def test_cut_off_between_any_two_steps_nothing_is_lost_or_doubled(pool: "asyncpg.Pool[Any]") -> None:
    step, cut = 0, True
    while cut:
        owner = f"cut{secrets.token_hex(4)}"
        alerts = {f"acct:{owner}": CreditSettingsSet(owner=f"acct:{owner}", alert_below_microdollars=1_000)}
        story: list[Metered | CreditOrdered] = [
            _top_up(owner, 1_500),
            _metered(owner, 50, price=PRICE.model_copy(update={"version": f"cut:{owner}"})),
            _metered(owner, 60),
            _metered(owner, 0),
        ]
        broken, _ = _cut_off_at(pool, step)
        try:
            await _tell(_ledger(broken, alerts), story)
            cut = False
        except (CutOffError, asyncpg.InterfaceError, OSError):
            pass
        await _tell(_ledger(pool, alerts), story)
        assert await _balances(pool, {f"acct:{owner}"}) == {f"acct:{owner}": 1_500 - 400 - 480}
        published = await pool.fetch("select topic, type, event_id from ledger.outbox where key = $1", f"acct:{owner}")
        kinds = Counter(row["type"] for row in published)
        assert kinds["ChargePosted"] == 3
        assert (kinds["CreditPosted"], kinds["BalanceLow"]) == (1, 1)
        assert len({row["event_id"] for row in published if row["type"] == "ChargePosted"}) == 3
        step += 1
    assert step > 8


FORBIDDEN = (
    "update ledger.entries set amount_microdollars = 0",
    "delete from ledger.entries",
    "truncate ledger.entries cascade",
    "truncate {part} cascade",
    "update {part} set amount_microdollars = amount_microdollars + 1",
    "delete from {part}",
    "update ledger.usage set cost_microdollars = 0",
    "delete from ledger.usage",
    "truncate ledger.usage",
    "update ledger.prices set tiers = '[]'",
    "delete from ledger.prices",
)
UNBALANCED = (
    "('charge', 'credit:acct:x', 'credit:acct:x', 1)",
    "('charge', 'credit:acct:x', 'revenue', -1)",
    "('charge', 'nobody', 'revenue', 1)",
    "('charge', 'cash', 'revenue', 1)",
    "('top_up', 'cash', 'revenue', 1)",
    "('top_up', 'credit:acct:x', 'cash', 1)",
    "('top_up', 'cash', 'credit:acct:x', 0)",
    "('refund', 'cash', 'credit:acct:x', 1)",
    "('adjustment', 'adjustments', 'cash', 1)",
    "('gift', 'adjustments', 'credit:acct:x', 1)",
    "('charge', null, 'revenue', 1)",
)


async def test_no_entry_can_be_edited_or_unbalanced_not_even_by_metering_itself(pool: "asyncpg.Pool[Any]") -> None:
    await _ledger(pool).write([_metered("fixed", 10)])
    part = await pool.fetchval(
        "select inhrelid::regclass::text from pg_inherits where inhparent = 'ledger.entries'::regclass"
    )
    for statement in FORBIDDEN:
        with pytest.raises(asyncpg.RaiseError, match="never changed"):
            await pool.execute(statement.format(part=part))
    for values in UNBALANCED:
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await pool.execute(
                "insert into ledger.entries (entry_id, kind, debit_account, credit_account, amount_microdollars) "
                f"select '{_new_id(NOW_MS)}'::uuid, * from (values {values}) v"
            )
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await pool.execute(
            "insert into ledger.usage select $1::uuid, owner, subject, account_id, organization_id, key_fingerprint, "
            "surface, model, provider_id, upstream_model, outcome, status, 0, 0, 0, 0, 0, 0, 0, 0, 0, false, null, "
            "false, false, 1, 0, 1, '', null, accepted_at, ended_at from ledger.usage limit 1",
            _new_id(NOW_MS),
        )


async def test_projections_can_be_rebuilt_from_the_journal(pool: "asyncpg.Pool[Any]") -> None:
    owner = f"rebuilt{secrets.token_hex(4)}"
    await _tell(
        _ledger(pool),
        [_top_up(owner, 5_000), *(_metered(owner, 10 * n, MONTHS_MS[n % 3], labels=LABELS[n % 3]) for n in range(9))],
    )
    daily = "select * from ledger.usage_daily order by owner, day, account_id, key_fingerprint, model"
    balances = "select owner, balance_microdollars from ledger.balances order by owner"
    units = "select * from ledger.units_daily order by owner, day, account_id, key_fingerprint, model, unit"
    sums = "select * from ledger.usage_sums order by owner, dimension, day, name"
    labels = (
        "select * from ledger.labels_daily order by owner, dimension, name, day, account_id, key_fingerprint, model"
    )
    queries = (daily, sums, units, balances, labels)
    before = [await pool.fetch(query) for query in queries]
    assert all(before)
    await pool.execute(
        "update ledger.balances set balance_microdollars = 7; delete from ledger.usage_daily; "
        "delete from ledger.usage_sums; update ledger.units_daily set amount = 7; "
        "update ledger.labels_daily set requests = 7"
    )
    version = await pool.fetchval("select version from ledger.balances where owner = $1", f"acct:{owner}")
    await pool.execute("select ledger.rebuild()")
    assert [await pool.fetch(query) for query in queries] == before
    named = [(row["dimension"], row["name"], row["requests"]) for row in before[-1] if row["owner"] == f"acct:{owner}"]
    assert sorted(named) == [("customer", "c", 3), ("tag", "a", 3), ("tag", "b", 3)]
    assert await pool.fetchval("select version from ledger.balances where owner = $1", f"acct:{owner}") == version + 1


async def test_a_price_is_kept_under_its_version_and_a_change_leaves_the_past_alone(pool: "asyncpg.Pool[Any]") -> None:
    dearer = PRICE.model_copy(
        update={"version": "test:dearer", "tiers": [PRICE.tiers[0].model_copy(update={"output": 16_000_000})]}
    )
    old, new = _metered("priced", 100), _metered("priced", 100, price=dearer)
    await _ledger(pool).write([old])
    await _ledger(pool).write([new, old])
    rows = await pool.fetch(
        "select u.cost_microdollars, p.tiers->0->>'output' as output from ledger.usage u join ledger.prices p "
        "using (price_version) where owner = 'acct:priced' order by 1"
    )
    assert [tuple(row) for row in rows] == [(800, "8000000"), (1_600, "16000000")]


async def test_a_price_that_is_committed_is_not_written_again(url: str) -> None:
    written: list[str] = []

    def note(query: Any) -> None:
        if "insert into ledger.prices" in query.query:
            written.append("failed" if query.exception else "written")

    async def listen(connection: Any) -> None:
        connection.add_query_logger(note)

    async with asyncpg.create_pool(url, min_size=1, max_size=1, init=listen) as pool:
        ledger = _ledger(pool)
        with pytest.raises(asyncpg.DataError):  # after the prices, so they are rolled back
            await ledger.write([replace(_metered("repriced", 100), traceparent="\0")])
        await ledger.write([_metered("repriced", 100)])
        await ledger.write([_metered("repriced", 200), _metered("repriced", 300)])
    assert written == ["written", "written"]


async def test_a_member_s_day_outlives_all_that_rate_limit_reads_back(
    pool: "asyncpg.Pool[Any]", bus: BusSettings
) -> None:
    """Rate-limit alone starts again when verdicts, usage and charges lie before all that it reads: what metering has
    put on its compacted topics must be enough.
    """
    now, organization = now_ms(), secrets.token_hex(6)
    caller = Caller(account_id="m", organization_id=organization, role="member")
    await _ledger(pool).write([_metered("m", 100, at_ms=now, caller=caller, subject=f"org:{organization}")])
    rows = await pool.fetch("select topic, record from ledger.outbox where record like $1", f"%{organization}%")
    async with running_producer(bus) as producer:
        for topic, record in [(BY_NAME[row["topic"]], row["record"]) for row in rows]:
            if topic.compacted:
                await settle([await producer.publish(topic, topic.records[0].decode(record, ""))])
    log, config = PromptLog(), load_config(CONFIG).model_copy(update={"billing": Billing(prepaid=False)})
    processor = QuotaProcessor(
        Work(log, {TopicPartition(topic.name, n): 0 for topic in (REQUESTS, USAGE) for n in range(bus.partitions)}),
        Service(RATE_LIMIT, bus, log, Health("rate-limit"), DeadLetters(log, "rate-limit"), NOBODY),
        versions=versions_of(config, price_list(Catalog(config))),
        views=Views({}, {organization: policy(organization_id=organization, member_daily_limit_microdollars=1_500)}),
        credentials={},
        timeouts=Timeouts(route_s=1e9, request_s=1e9),
        out_of_time=OutOfTimeCount(),
        keep_ms=0,
    )
    await processor.load()
    asked = accepted(subject=f"org:{organization}", caller=caller, accepted_at_ms=now, output_tokens_most=100)
    await processor.process([Received(asked, REQUESTS, 0, 0, now, "")])
    verdict = log.taken[-1]
    assert isinstance(verdict, QuotaReserved)
    assert verdict.refusal is not None
    assert verdict.refusal.metadata["leftMicrodollars"] == 700


async def test_a_version_opens_what_a_newer_one_has_migrated(url: str) -> None:
    """Revisions only add, so that one may go back to the version before."""
    await _at_revision(url, "0999")
    database = Database(DatabaseSettings(url=url), "ledger", MIGRATIONS)
    await database.start()
    try:
        async with asyncio.timeout(30):
            await database.wait_ready()
        assert await database.pool.fetchval("select version_num from alembic_version") == "0999"
    finally:
        await database.stop()
        await _at_revision(url, newest_revision(MIGRATIONS))


async def _at_revision(url: str, revision: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("update ledger.alembic_version set version_num = $1", revision)
    finally:
        await connection.close()
