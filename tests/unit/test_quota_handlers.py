"""Rate-limit's records that stay in work: usage, until its charge is posted."""

import asyncio
import contextlib
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from contracts import topics
from contracts.credit import BalanceChanged
from contracts.decisions import QuotaReserved
from contracts.prices import PriceRule, Rates
from contracts.record import Record
from contracts.replies import Outcome
from contracts.requests import Caller, RequestAccepted, Surface
from contracts.services import ServiceSpec
from contracts.topic import Topic
from contracts.usage import TokenUsage, UsageRecorded
from libs.bus.dead_letters import DeadLetters
from libs.bus.records import Received
from libs.bus.service import Service
from libs.bus.settings import BusSettings
from libs.bus.signing import NOBODY
from libs.config.gateway import Limits, Timeouts
from libs.config.providers import Model, Provider
from libs.config.versions import CatalogVersions
from libs.pricing.charging import cost_of
from libs.runtime.health import Health
from services.metering.core.pricing import charge
from services.rate_limit.core.bounds import Views
from services.rate_limit.core.timeliness import OutOfTimeCount
from services.rate_limit.handlers import AGAIN_WITHIN_MS, QuotaProcessor
from tests.unit.bus import OnePartition, PromptLog, SilentLog
from tests.unit.records import NOW_MS, PRICE, Config, accepted, request_id, versions_of

OWNER = "acct:a"
USAGE = UsageRecorded(
    request_id=request_id(1),
    subject=OWNER,
    caller=Caller(account_id="a"),
    surface=Surface.CHAT_COMPLETIONS,
    model="stub/echo",
    outcome=Outcome.COMPLETED,
    status=200,
    tokens=TokenUsage(input_tokens=10, output_tokens=10),
    provider_id="stub",
    catalog_version=1,
    accepted_at_ms=NOW_MS,
    ended_at_ms=NOW_MS,
)
BALANCE = BalanceChanged(owner=OWNER, balance_microdollars=5, version=1)
CHARGE = charge(USAGE, cost_of(USAGE, PRICE), NOW_MS).model_copy(update={"balance": BALANCE})


FREE_OF_CHARGE = PRICE.model_copy(update={"tiers": [Rates(input=0, output=0)]})
ECHO = Model(id="stub/echo", provider="stub", upstream_model="e")
GIFT = Model(id="stub/gift", provider="stub", upstream_model="g")


def _versions(limits: Limits | None) -> CatalogVersions:
    config = Config(providers={"stub": Provider(base_url="http://x")}, models=[ECHO, GIFT], limits=limits or Limits())
    prices = {"stub/echo": PRICE, "stub/gift": FREE_OF_CHARGE}
    return versions_of(config, {model: {"stub": [PriceRule(price=price)]} for model, price in prices.items()})


def _processor(work: OnePartition, log: SilentLog, limits: Limits | None = None) -> QuotaProcessor:
    spec = ServiceSpec("rate-limit")
    service = Service(spec, BusSettings(), log, Health("rate-limit"), DeadLetters(log, "rate-limit"), NOBODY)
    return QuotaProcessor(
        work,
        service,
        versions=_versions(limits),
        views=Views({}, {}),
        credentials={},
        timeouts=Timeouts(),
        out_of_time=OutOfTimeCount(),
        keep_ms=720_000,
    )


def _received(record: Record, offset: int) -> Received[Any]:
    of: list[Topic[Any]] = [topics.CHARGES, topics.BALANCES, topics.REQUESTS, topics.USAGE]
    topic = next(one for one in of if type(record) in one.records)
    return Received(record, topic, 0, offset, NOW_MS, "")


def _request(number: int, at_ms: int) -> RequestAccepted:
    """Can cost 600 microdollars."""
    return accepted(
        number, accepted_at_ms=at_ms, route_by_ms=at_ms + 15_000, input_tokens_most=100, output_tokens_most=50
    )


def _used(number: int, at_ms: int) -> UsageRecorded:
    """Costs 100 microdollars."""
    tokens = TokenUsage(input_tokens=10, output_tokens=10)
    return USAGE.model_copy(
        update={"request_id": request_id(number), "accepted_at_ms": at_ms, "ended_at_ms": at_ms, "tokens": tokens}
    )


def _verdicts(log: SilentLog) -> list[tuple[str, int | None]]:
    """Who was let in (None) or refused (the status), in the order of the verdicts."""
    return [
        (record.request_id, record.refusal.status if record.refusal else None)
        for record in log.taken
        if isinstance(record, QuotaReserved)
    ]


@pytest.mark.parametrize("times", [1, 2])
async def test_usage_is_in_work_until_its_charge_comes_however_often_it_is_published(times: int) -> None:
    log = SilentLog()
    work = OnePartition(log)
    processor = _processor(work, log)
    usages = [_received(USAGE, offset) for offset in range(times)]
    for usage in usages:
        await work.give(processor, [usage])
    assert work.finished_to == 0
    await work.give(processor, [_received(CHARGE, times)])
    assert work.finished_to == times + 1
    await work.give(processor, usages)
    assert work.finished_to == times + 1


async def test_who_lacks_only_what_others_hold_waits_in_work_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    log, at_ms = PromptLog(), NOW_MS
    work = OnePartition(log)
    processor = _processor(work, log, Limits(wait_s=3))
    monkeypatch.setattr("services.rate_limit.handlers.now_ms", lambda: at_ms)
    credit = BalanceChanged(owner=OWNER, balance_microdollars=1_250, version=1)
    await work.give(processor, [_received(credit, 0), *(_received(_request(n, NOW_MS), n) for n in (1, 2, 3, 4))])
    assert _verdicts(log) == [(request_id(1), None), (request_id(2), None)]
    assert work.finished_to == 3, "the records of those that wait are not committed"
    at_ms += 400
    await work.give(processor, [_received(_used(1, NOW_MS), 5)])
    assert len(_verdicts(log)) == 2, "500 are given back, and 600 are needed"
    await work.give(processor, [_received(_used(2, NOW_MS), 6)])
    assert _verdicts(log)[2:] == [(request_id(3), None)]
    assert [one.waited_ms for one in log.taken if isinstance(one, QuotaReserved)] == [0, 0, 400]
    assert work.finished_to == 4
    at_ms += 2_600
    await processor.tick()
    assert _verdicts(log)[3:] == [(request_id(4), 402)], "nobody waits for ever"
    assert work.finished_to == 5, "now it is usage that waits for its charge"


async def test_a_request_that_comes_again_gets_its_verdict_for_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    log, passed_ms = PromptLog(), 0
    work = OnePartition(log)
    processor = _processor(work, log)
    monkeypatch.setattr("services.rate_limit.handlers.now_ms", lambda: NOW_MS)
    monkeypatch.setattr("services.rate_limit.handlers.monotonic_ms", lambda: passed_ms)
    credit = BalanceChanged(owner=OWNER, balance_microdollars=600, version=1)
    await work.give(processor, [_received(credit, 0), _received(_request(1, NOW_MS), 1)])
    passed_ms += AGAIN_WITHIN_MS - 1
    await processor.tick()
    await work.give(processor, [_received(_request(1, NOW_MS), 2)])
    first, again = [record for record in log.taken if isinstance(record, QuotaReserved)]
    assert first == again
    (part,) = processor._partitions.values()
    assert len(part.given) == 1
    passed_ms += 1
    await processor.tick()
    assert len(part.given) == 0


async def test_a_request_that_has_ended_waits_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    log = PromptLog()
    work = OnePartition(log)
    processor = _processor(work, log)
    monkeypatch.setattr("services.rate_limit.handlers.now_ms", lambda: NOW_MS)
    credit = BalanceChanged(owner=OWNER, balance_microdollars=600, version=1)
    await work.give(processor, [_received(credit, 0), *(_received(_request(n, NOW_MS), n) for n in (1, 2))])
    gone = USAGE.model_copy(
        update={"request_id": request_id(2), "outcome": Outcome.CANCELLED, "tokens": TokenUsage(), "price": None}
    )
    await work.give(processor, [_received(gone, 3)])
    assert work.finished_to == 4
    await work.give(processor, [_received(_used(1, NOW_MS), 4)])
    assert _verdicts(log) == [(request_id(1), None)]


async def test_more_than_may_wait_are_refused_and_later_ones_do_not_overtake(monkeypatch: pytest.MonkeyPatch) -> None:
    log = PromptLog()
    work = OnePartition(log)
    processor = _processor(work, log, Limits(waiting=1))
    monkeypatch.setattr("services.rate_limit.handlers.now_ms", lambda: NOW_MS)
    credit = BalanceChanged(owner=OWNER, balance_microdollars=700, version=1)
    small = _request(3, NOW_MS).model_copy(update={"output_tokens_most": 0, "input_tokens_most": 10})
    await work.give(
        processor,
        [
            _received(credit, 0),
            *(_received(_request(n, NOW_MS), n) for n in (1, 2)),
            _received(small, 3),
            _received(_request(1, NOW_MS), 4),
        ],
    )
    assert _verdicts(log) == [(request_id(1), None), (request_id(3), 429)]
    own_key = _request(5, NOW_MS).model_copy(update={"model": "stub/gift"})
    await work.give(processor, [_received(own_key, 5)])
    assert _verdicts(log)[2:] == [(request_id(5), None)], "it needs nothing of what others wait for"


async def test_what_the_broker_did_not_take_is_published_again(monkeypatch: pytest.MonkeyPatch) -> None:
    log = SilentLog()
    work = OnePartition(log)
    processor = _processor(work, log)
    monkeypatch.setattr("services.rate_limit.handlers.now_ms", lambda: NOW_MS)
    credit = BalanceChanged(owner=OWNER, balance_microdollars=600, version=1)
    batch = [_received(credit, 0), _received(_request(1, NOW_MS), 1)]
    for refused in (True, False):
        giving = asyncio.create_task(work.give(processor, batch))
        await log.has_taken(1)
        if refused:
            log.refuse(KafkaError("away"))
        else:
            log.confirm()
        with contextlib.suppress(KafkaError):
            await giving
        taken, log.taken = _verdicts(log), []
        assert taken == [(request_id(1), None)]
    assert work.finished_to == 2
