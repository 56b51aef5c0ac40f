"""Limits while rate-limit is killed and joined: never one request, never one microdollar too many."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import httpx
import pytest
import pytest_asyncio
from aiokafka.errors import KafkaError

from contracts.services import RATE_LIMIT
from libs.bus.progress import Progress
from tests.e2e.plane import Person, Plane
from tests.e2e.test_spending import fund
from tests.faults.books import audited
from tests.stacks import NotYet, chat, running_stack, until

CLIENTS = 200
LIMIT_MICRODOLLARS = 1_000_000
WATCHED = replace(RATE_LIMIT, watches=(), watches_groups=RATE_LIMIT.groups)
MOST_FAILURES = 20
"""Of one client; who sees more gives up, and the test fails instead of lasting for ever."""
COSTLY = "[[stub chunks=6000]]"
"""Costs 48,000 microdollars and a few for its prompt, and can cost no more than 50,000."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def plane(kafka: str, forks: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Plane]:
    environment = {
        "SLUICE_BILLING__PREPAID": "true",
        "SLUICE_TRUSTED_PROXIES": "1",
        "SLUICE_TIMEOUTS__ROUTE_S": "30",
        "SLUICE_TIMEOUTS__FIRST_BYTE_S": "20",
    }
    folder = tmp_path_factory.mktemp("limits")
    async with running_stack(folder, kafka, environment=environment, partitions=4) as gateway:
        yield Plane(gateway, 1)


async def _disturb(plane: Plane) -> None:
    """kill -9 of one of one, then of one of three; then back to one. Each step meets services at work."""
    stack = plane.gateway.stack
    await _killed(plane, 1)
    for number in (2, 3):
        await stack.start_service(RATE_LIMIT.name, number)
        await _at_work(plane, number)
    await _killed(plane, 3)
    for number in (2, 3):
        await stack.remove_service(RATE_LIMIT.name, number)
        await _at_work(plane, 4 - number)


async def _killed(plane: Plane, running: int) -> None:
    """The first of so many dies, and they are at work again."""
    child = plane.gateway.stack.children[RATE_LIMIT.name]
    restarts = child.restarts
    child.kill()

    async def restarted() -> bool | None:
        return child.restarts > restarts or None

    await until(restarted, what="the restart")
    await _at_work(plane, running)


async def _at_work(plane: Plane, count: int) -> None:
    """So many share the partitions, and each has loaded its own.

    Asked again where the broker takes its time: our clients and the services have both cores.
    """
    stack = plane.gateway.stack
    async with AsyncExitStack() as connected:

        async def watching() -> Progress | NotYet:
            try:
                return await connected.enter_async_context(Progress(stack.bus, WATCHED))
            except KafkaError as error:
                return NotYet(error)

        progress = await until(watching, what="the broker", within_s=90)

        async def settled() -> bool | NotYet:
            try:
                group = (await progress.read()).groups[RATE_LIMIT.name]
            except KafkaError as error:
                return NotYet(error)
            ready = [answer.get("ready") for name, answer in (await stack.health()).items() if RATE_LIMIT.name in name]
            return (group.state, group.members, ready) == ("Stable", count, [True] * count) or NotYet(
                f"{group} {ready}"
            )

        await until(settled, what=f"{count} at work", within_s=90)


async def _ready(plane: Plane) -> None:
    async def ready() -> bool | None:
        health = await plane.gateway.stack.health()
        return health["rate-limit"].get("ready") or None

    await until(ready, what="rate-limit")


async def test_exactly_200_free_requests_an_hour_pass(plane: Plane) -> None:
    statuses = Counter[int]()

    async def client() -> None:
        headers = {"X-Forwarded-For": "203.0.113.7", "Content-Type": "application/json"}
        failures = 0
        while failures < MOST_FAILURES:
            response = await plane.gateway.http.post(
                f"{plane.gateway.base_url}/chat/completions", json=chat("hi", model="stub/echo:free"), headers=headers
            )
            statuses[response.status_code] += 1
            failures += response.status_code >= 500
            if response.status_code == 429:
                return

    disturbing = asyncio.create_task(_disturb(plane))
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    await disturbing
    await _ready(plane)
    await audited(plane.gateway)
    completed = await plane.gateway.database.fetchval(
        "select count(*) from ledger.usage where subject = 'ip:203.0.113.7' and outcome = 'completed'"
    )
    assert completed == statuses[200] == 200, statuses


async def test_one_dollar_is_never_overrun_and_can_be_used(plane: Plane) -> None:
    person = await plane.person()
    await fund(plane, f"/api/accounts/{person.account_id}", "1.00")
    statuses = Counter[int]()

    async def client() -> None:
        # Patient enough to see what is given back by those in flight.
        refused = failures = 0
        while refused < 8 and failures < MOST_FAILURES:
            response = await _ask(plane, person)
            statuses[response.status_code] += 1
            failures += response.status_code >= 500
            if response.status_code == 402:
                refused += 1
                await asyncio.sleep(0.5)

    disturbing = asyncio.create_task(_disturb(plane))
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    await disturbing
    await _ready(plane)
    await audited(plane.gateway)
    spent = await plane.gateway.database.fetchval(
        "select sum(cost_microdollars)::bigint from ledger.usage where account_id = $1", person.account_id
    )
    over = await plane.gateway.database.fetchval(
        "select count(*) from ledger.usage where cost_microdollars > reserved_microdollars"
    )
    assert over == 0
    assert spent <= LIMIT_MICRODOLLARS, statuses
    assert spent >= 0.9 * LIMIT_MICRODOLLARS, statuses
    shown = await plane.call("GET", f"/api/accounts/{person.account_id}/credit")
    assert shown["balance_microdollars"] == LIMIT_MICRODOLLARS - spent


async def test_a_member_s_day_is_never_overrun(plane: Plane) -> None:
    owner, member = await plane.person(), await plane.person()
    organization = (await plane.call("POST", "/api/organizations", {"name": "L"}, key=owner.key))["id"]
    path = f"/api/organizations/{organization}"
    await plane.join(organization, owner, member)
    await plane.call("PUT", f"{path}/policy", {"member_daily_limit_usd": "0.5"}, key=owner.key)
    await fund(plane, path, "100")
    await plane.becomes(400, member.key, organization)

    async def limited() -> bool | None:
        response = await plane.ask(member.key, "hi", organization, max_tokens=70_000)
        return response.status_code == 402 or None

    await until(limited, what="the daily limit")
    stack = plane.gateway.stack

    async def ask_on() -> None:
        for _ in range(4):
            await _ask(plane, member, organization)

    asking = [asyncio.create_task(ask_on()) for _ in range(30)]
    stack.children["metering"].kill()
    stack.children["rate-limit"].kill()
    await asyncio.gather(*asking)
    await _ready(plane)
    await audited(plane.gateway)
    spent = await plane.gateway.database.fetchval(
        "select sum(cost_microdollars)::bigint from ledger.usage where account_id = $1", member.account_id
    )
    assert 0.8 * 500_000 <= spent <= 500_000


async def test_a_team_s_month_is_never_overrun_while_rate_limit_alone_is_killed(plane: Plane) -> None:
    owner, member = await plane.person(), await plane.person()
    organization = (await plane.call("POST", "/api/organizations", {"name": "T"}, key=owner.key))["id"]
    path = f"/api/organizations/{organization}"
    await plane.join(organization, owner, member)
    await plane.call("PUT", f"{path}/teams/core", key=owner.key)
    await plane.call("PUT", f"{path}/teams/core/members/{member.account_id}", key=owner.key)
    change = {"scope": "team:core", "meters": {"requests_per_month": 40, "usd_per_week": "1"}}
    await plane.call("PATCH", f"{path}/limits", change, key=owner.key)
    await fund(plane, path, "100")
    await plane.becomes(400, member.key, organization)

    async def limited() -> bool | None:
        response = await plane.ask(member.key, "hi", organization, max_tokens=130_000)
        return response.status_code == 402 or None

    await until(limited, what="the team's limit")
    asking = [asyncio.create_task(_ask(plane, member, organization)) for _ in range(60)]
    for _ in range(3):
        plane.gateway.stack.children["rate-limit"].kill()
        await asyncio.wait(asking, timeout=2, return_when=asyncio.FIRST_COMPLETED)
        await _ready(plane)
    await asyncio.gather(*asking)
    await audited(plane.gateway)
    row = await plane.gateway.database.fetchrow(
        "select count(*) as made, sum(cost_microdollars)::bigint as spent from ledger.usage "
        "where account_id = $1 and outcome <> 'rejected'",
        member.account_id,
    )
    assert row is not None
    assert row["made"] <= 40
    assert 0.8 * 1_000_000 <= row["spent"] <= 1_000_000


async def test_with_postgresql_away_for_longer_than_a_deadline_no_credit_is_spent_twice(plane: Plane) -> None:
    person = await plane.person()
    await fund(plane, f"/api/accounts/{person.account_id}", "0.20")

    async def let_in() -> bool | None:
        return (await _ask(plane, person)).status_code == 200 or None

    await until(let_in, what="an answer")
    postgres = plane.gateway.stack.children["postgres"]
    postgres.kill_tree(signal.SIGSTOP)
    try:
        answers = [(await _ask(plane, person)).status_code for _ in range(6)]
        assert answers.count(200) == 3, "what has ended is held until its charge comes"
        plane.gateway.stack.children["rate-limit"].kill()
        await _ready(plane)
        answers = [(await _ask(plane, person)).status_code for _ in range(3)]
        assert answers == [402] * 3, "a successor knows what has ended and is not charged"
    finally:
        postgres.kill_tree(signal.SIGCONT)
    await audited(plane.gateway)
    shown = await plane.call("GET", f"/api/accounts/{person.account_id}/credit")
    assert 0 <= shown["balance_microdollars"] < 50_000


async def _ask(plane: Plane, person: Person, organization: str | None = None) -> httpx.Response:
    return await plane.ask(person.key, COSTLY, organization, max_tokens=6_000)
