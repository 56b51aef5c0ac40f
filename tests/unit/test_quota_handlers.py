"""Rate-limit's records that stay in work: usage, until its charge is posted."""

import pytest

from contracts import topics
from contracts.charges import ChargePosted
from contracts.credit import BalanceChanged
from contracts.record import Record
from contracts.replies import Outcome
from contracts.requests import Caller, Surface
from contracts.services import ServiceSpec
from contracts.usage import TokenUsage, UsageRecorded
from libs.bus.dead_letters import DeadLetters
from libs.bus.records import Received
from libs.bus.service import Service
from libs.bus.settings import BusSettings
from libs.bus.signing import NOBODY
from libs.config.catalog import Catalog
from libs.config.gateway import Billing, Limits
from libs.runtime.health import Health
from services.metering.core.pricing import charge
from services.rate_limit.core.spending import Rules
from services.rate_limit.handlers import QuotaProcessor
from tests.unit.bus import OnePartition, SilentLog
from tests.unit.records import NOW_MS, PRICE, Config, request_id

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
    price=PRICE,
    accepted_at_ms=NOW_MS,
    ended_at_ms=NOW_MS,
)
BALANCE = BalanceChanged(owner=OWNER, balance_microdollars=5, version=1)
CHARGE = charge(USAGE, NOW_MS).model_copy(update={"balance": BALANCE})


@pytest.mark.parametrize("times", [1, 2])
async def test_usage_is_in_work_until_its_charge_comes_however_often_it_is_published(times: int) -> None:
    log = SilentLog()
    work = OnePartition(log)
    spec = ServiceSpec("rate-limit")
    service = Service(spec, BusSettings(), log, Health("rate-limit"), DeadLetters(log, "rate-limit"), NOBODY)
    processor = QuotaProcessor(
        work,
        service,
        rules=Rules(Limits(), Billing()),
        catalog=Catalog(Config()),
        policies={},
        credentials={},
        keep_ms=720_000,
    )
    usages = [_received(USAGE, offset) for offset in range(times)]
    for usage in usages:
        await work.give(processor, [usage])
    assert work.finished_to == 0
    await work.give(processor, [_received(CHARGE, times)])
    assert work.finished_to == times + 1
    await work.give(processor, usages)
    assert work.finished_to == times + 1


def _received(record: Record, offset: int) -> Received[Record]:
    topic = topics.CHARGES if isinstance(record, ChargePosted) else topics.USAGE
    return Received(record, topic, 0, offset, NOW_MS, "")
