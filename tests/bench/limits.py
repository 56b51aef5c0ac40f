"""``./sluice bench limits``: kills and restarts at random times over each kind of limit; then the ledger is asked.

In each round every kind has an owner of its own, who asks for far more than its limit. A seed chooses what is killed,
and when; what the machine makes of it is another matter.
"""

import asyncio
import random
import sys
import time
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Any

import asyncpg
import httpx
import psutil

from deploy.local.child import Child
from deploy.local.errors import StackError
from deploy.local.stack import Stack
from services.cli.client import ManagementClient
from services.cli.output import as_json, as_table, out, report
from tests.bench.stacks import finish, measured_stack
from tests.faults.books import audited
from tests.stacks import NotYet, chat, until

FREE_REQUESTS = 20
ENVIRONMENT = {
    "SLUICE_TELEMETRY__SAMPLE_RATIO": "0",
    "SLUICE_TRUSTED_PROXIES": "1",
    "SLUICE_LIMITS__FREE_REQUESTS": str(FREE_REQUESTS),
    "SLUICE_TIMEOUTS__ROUTE_S": "30",
}
COSTLY = "[[stub chunks=600 gap_ms=1]]"
"""Costs 4,800 microdollars and a few for its prompt; can cost 5,000, and use 790 tokens."""
MOST_TOKENS = 600
VICTIMS = ("rate-limit", "rate-limit", "rate-limit", "metering", "relay", "router", "policy", "key-vault")
"""Rate-limit three times as often as the others."""
CLIENTS, EACH = 20, 3
"""Of each kind, and how often each asks at once."""
AGAIN_S = 1.0
"""After that, until the round's last kill."""

Console = Callable[..., Awaitable[Any]]


@dataclass(frozen=True)
class Kind:
    """A limit, how it is set, and how the ledger knows what was used of it."""

    name: str
    most: int
    used: str
    """SQL, over the rows of one owner."""
    scope: str | None = None
    meters: dict[str, str | int] | None = None
    organization: bool = False
    credit: str = "100"
    policy: dict[str, Any] | None = None


_CALLED = "count(*) filter (where attempts > 0)"
_COST = "coalesce(sum(cost_microdollars), 0)"
_TOKENS = "coalesce(sum(input_tokens + output_tokens), 0)"
KINDS = (
    Kind("free window", FREE_REQUESTS, "count(*) filter (where outcome <> 'rejected')"),
    Kind("credit", 50_000, _COST, credit="0.05"),
    Kind("member's day, USD", 50_000, _COST, organization=True, policy={"member_daily_limit_usd": "0.05"}),
    Kind("team's week, USD", 50_000, _COST, "team:core", {"usd_per_week": "0.05"}, organization=True),
    Kind("account's month, requests", 15, _CALLED, "all", {"requests_per_month": 15}),
    Kind("model's day, tokens", 9_000, _TOKENS, "model", {"tokens_per_day": 9_000}),
    Kind("key's hour, requests", 15, _CALLED, "key", {"requests_per_hour": 15}),
)


@dataclass
class Found:
    """What all rounds made of one kind."""

    rounds: int = 0
    over: int = 0
    least: float = 1.0
    most: float = 0.0
    """Shares of the limit that were used."""


async def main(options: Namespace) -> None:
    """Measures and prints."""
    chance = random.Random(options.seed)
    async with measured_stack(options.kafka, environment=ENVIRONMENT) as measured:
        bench = _Bench(measured.stack, chance, options.kills)
        async with bench:
            for number in range(options.rounds):
                await bench.round(number)
                report(f"round {number + 1} of {options.rounds}: {bench.overruns} overruns")
        books = await audited(measured.stack)
    rows = [
        {
            "limit": name,
            "rounds": one.rounds,
            "overruns": one.over,
            "used of it": f"{one.least:.0%} to {one.most:.0%}",
        }
        for name, one in bench.found.items()
    ]
    killed = ", ".join(f"{name} {count}" for name, count in bench.killed.most_common())
    if options.json:
        as_json({"seed": options.seed, "rows": rows, "killed": bench.killed, "statuses": bench.statuses})
    else:
        as_table(rows, "")
        out.print(f"\nseed {options.seed}; killed or restarted: {killed}")
        out.print(f"answers: {dict(sorted(bench.statuses.items()))}")
        out.print(f"audit: {books['accepted']} requests accepted, each ended once and is booked once")
    if bench.overruns:
        sys.exit(1)


class _Bench:
    def __init__(self, stack: Stack, chance: random.Random, kills: int) -> None:
        """
        Args:
            kills: in each round.
        """
        self._kills = kills
        self._stack = stack
        self._chance = chance
        self._console = ManagementClient(stack.console_url, stack.operator_token())
        self.found = {kind.name: Found() for kind in KINDS}
        self.killed: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()

    @property
    def overruns(self) -> int:
        """Of all kinds."""
        return sum(one.over for one in self.found.values())

    async def __aenter__(self) -> "_Bench":
        self._http = httpx.AsyncClient(timeout=90, limits=httpx.Limits(max_connections=500), trust_env=False)
        self._database = await asyncpg.connect(self._stack.postgres.admin_url())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()
        await self._database.close()

    async def round(self, number: int) -> None:
        """Owners, far too many requests, kills; then what was used."""
        # A window that ends in the middle of a round would have room twice.
        await _clear_of_the_hour()
        subjects = [await self._owner(kind, number) for kind in KINDS]
        asking = [self._ask(kind, headers) for kind, (_, headers) in zip(KINDS, subjects, strict=True)]
        self._disturbing = disturbing = asyncio.create_task(self._disturb())
        requested = await asyncio.gather(*asking)
        await disturbing
        for kind, (subject, _), ids in zip(KINDS, subjects, requested, strict=True):
            await until(partial(self._booked, subject, ids), what=f"entries of {kind.name}", within_s=90)
            used = await self._database.fetchval(
                f"select {kind.used}::bigint from ledger.usage where subject = $1",
                subject,
            )
            found, share = self.found[kind.name], used / kind.most
            found.rounds += 1
            found.over += used > kind.most
            found.least, found.most = min(found.least, share), max(found.most, share)

    async def _disturb(self) -> None:
        for _ in range(self._kills):
            await asyncio.sleep(self._chance.uniform(0.0, 1.5))
            name, gently = self._chance.choice(VICTIMS), self._chance.random() < 0.3
            child = self._stack.children[name]
            self.killed[f"{name} ({'restart' if gently else 'kill -9'})"] += 1
            await until(partial(_runs, child), what=f"{name}, which was killed before")
            if gently:
                await child.stop()
                await self._stack.start_service(name)
            else:
                child.kill()

    async def _ask(self, kind: Kind, headers: dict[str, str]) -> set[str]:
        model = "stub/echo:free" if kind.name == "free window" else "stub/echo"
        ids: set[str] = set()

        async def client() -> None:
            for number in count():
                if number >= EACH:
                    # Until the last kill, slowly: what a limit has forgotten would be let in.
                    if self._disturbing.done():
                        return
                    await asyncio.sleep(AGAIN_S)
                body = chat(COSTLY, model=model, max_tokens=MOST_TOKENS)
                answer = await self._http.post(f"{self._stack.base_url}/chat/completions", json=body, headers=headers)
                self.statuses[str(answer.status_code)] += 1
                if answer.status_code < 500 and "x-request-id" in answer.headers:
                    ids.add(answer.headers["x-request-id"])

        await asyncio.gather(*(client() for _ in range(CLIENTS)))
        return ids

    async def _booked(self, subject: str, ids: set[str]) -> bool | NotYet:
        rows = await self._database.fetch("select request_id::text from ledger.usage where subject = $1", subject)
        missing = ids - {row["request_id"] for row in rows}
        return NotYet(f"{len(missing)} of {len(ids)} are missing: {sorted(missing)[:3]}") if missing else True

    async def _owner(self, kind: Kind, number: int) -> tuple[str, dict[str, str]]:
        """The subject of a kind's requests in this round, and their headers, once its limit holds."""
        address = f"198.51.{number // 250}.{number % 250}"
        if kind.name == "free window":
            return f"ip:{address}", {"X-Forwarded-For": address}
        email = f"{number}-{KINDS.index(kind)}@example.com"
        account = (await self._call("POST", "/api/accounts", {"email": email}))["id"]
        limits = {"limits": kind.meters} if kind.scope == "key" else {}
        key = (await self._call("POST", f"/api/accounts/{account}/keys", limits))["key"]
        owner, path, headers = f"acct:{account}", f"/api/accounts/{account}", {"Authorization": f"Bearer {key}"}
        if kind.organization:
            made = await self._call("POST", "/api/organizations", {"name": "bench", "owner": account})
            owner, path = f"org:{made['id']}", f"/api/organizations/{made['id']}"
            headers["X-KiloCode-OrganizationId"] = made["id"]
        if kind.policy:
            await self._call("PUT", f"{path}/policy", kind.policy)
        if kind.scope == "team:core":
            await self._call("PUT", f"{path}/teams/core")
            await self._call("PUT", f"{path}/teams/core/members/{account}")
        if kind.scope and kind.scope != "key":
            await self._call("PATCH", f"{path}/limits", {"scope": kind.scope, "meters": kind.meters})
        await self._call("POST", f"{path}/credit", {"usd": kind.credit})
        await self._holds(headers, kind)
        return owner, headers

    async def _holds(self, headers: dict[str, str], kind: Kind) -> None:
        """Credit and limit have reached rate-limit: what can never fit is refused, and what fits is not."""

        async def asked(most: int) -> httpx.Response:
            body = chat("hi", max_tokens=most)
            return await self._http.post(f"{self._stack.base_url}/chat/completions", json=body, headers=headers)

        async def holds() -> bool | None:
            answer = await asked(1)
            if answer.status_code != 200:
                return None
            if (kind.meters and not any(name.startswith("requests") for name in kind.meters)) or kind.policy:
                return (await asked(100_000)).status_code in (402, 429) or None
            return kind.meters is None or "ratelimit" in answer.headers or None

        await until(holds, what=f"the limit of {kind.name}")

    async def _call(self, method: str, path: str, body: Any = None) -> Any:
        return await asyncio.to_thread(self._console.call, method, path, body)


async def _runs(child: Child) -> bool | None:
    try:
        return psutil.pid_exists(child.pid) or None
    except StackError:
        return None


async def _clear_of_the_hour() -> None:
    now = datetime.now(UTC)
    left_s = 3600 - now.minute * 60 - now.second
    if left_s < 60:
        await asyncio.sleep(left_s + 1)


if __name__ == "__main__":
    parser = ArgumentParser(prog="sluice bench limits", description=__doc__)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of what is killed, and when")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--kills", type=int, default=2, help="in each round")
    parser.add_argument("--kafka", default="embedded", help="embedded or HOST:PORT")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    finish(main(parser.parse_args()))
