"""A run of `./sluice bench limits`: kills beside owners who ask for more than their limits."""

import asyncio
import random
import time
from argparse import Namespace
from collections import Counter
from dataclasses import dataclass, field
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
from services.cli.output import report
from tests.bench.limit_kinds import KINDS, Kind, Owner, Owners
from tests.stacks import NotYet, chat, until

COSTLY = "[[stub chunks=600 gap_ms=1]]"
"""Costs 4,800 microdollars and a few for its prompt; can cost 5,000, and use 790 tokens."""
MOST_TOKENS = 600
VICTIMS = ("rate-limit", "rate-limit", "rate-limit", "metering", "relay", "router", "policy", "key-vault")
"""Rate-limit three times as often as the others."""
GENTLY = 0.3
"""The share of restarts."""
PAUSE_S = (0.0, 1.0)
"""After the gateway decides again."""
DECIDED = 12
"""Requests that were asked for after a kill and that limits let in or refused, until the next."""
WITHIN_S = 120.0
CLIENTS, EACH = 20, 3
"""Of each owner, and how often each asks at once."""
SPREAD_S = (0.0, 0.0, 3.0, 8.0)
"""Within which an owner's clients begin: all at once, or over several kills."""
STAY = 3
"""Clients that ask on."""
AGAIN_S = 1.0
KILLS_OF_OWNER = (4, 16)
"""An owner asks on for so many."""
CLEAR_S = 240
"""Before the hour nobody asks: a window that ends in the middle would have room twice."""


@dataclass
class Found:
    """What all owners made of one kind."""

    owners: int = 0
    over: int = 0
    kills: int = 0
    """While an owner of it asked."""
    least: float = 1.0
    most: float = 0.0
    """Shares of the limit that were used."""


@dataclass
class Seen:
    """What was done, and what clients saw."""

    found: dict[str, Found] = field(default_factory=lambda: {kind.name: Found() for kind in KINDS})
    killed: Counter[str] = field(default_factory=Counter[str])
    restarted: Counter[str] = field(default_factory=Counter[str])
    statuses: Counter[str] = field(default_factory=Counter[str])
    overruns: list[str] = field(default_factory=list)

    @property
    def kills(self) -> int:
        """Restarts included."""
        return self.killed.total() + self.restarted.total()


class Bench:
    """Breaks services until that is enough."""

    def __init__(self, stack: Stack, options: Namespace, http: httpx.AsyncClient, database: "asyncpg.Pool[Any]"):
        self._stack = stack
        self._options = options
        self._http = http
        self._database = database
        self._owners = Owners(stack, http)
        self._killed_s = 0.0
        self._decided = 0
        self._over = asyncio.Event()
        self.seen = Seen()

    async def run(self) -> Seen:
        """Kills, with all kinds at work, until that is over; then all owners have been looked at."""
        async with asyncio.TaskGroup() as group:
            for kind in KINDS:
                group.create_task(self._owners_of(kind))
            group.create_task(self._disturb())
        return self.seen

    async def _disturb(self) -> None:
        chance, began_s, reported = random.Random(self._options.seed), time.monotonic(), 0
        while self.seen.kills < self._options.kills and time.monotonic() - began_s < self._options.minutes * 60:
            await _clear_of_the_hour()
            await asyncio.sleep(chance.uniform(*PAUSE_S))
            names = {chance.choice(VICTIMS) for _ in range(chance.randint(1, self._options.together))}
            await asyncio.gather(*(self._strike(name, gently=chance.random() < GENTLY) for name in sorted(names)))
            self._killed_s, self._decided = time.monotonic(), 0
            await until(self._decides, what="decisions after a kill", within_s=WITHIN_S)
            if self.seen.kills // 20 > reported:
                reported = self.seen.kills // 20
                owners = sum(one.owners for one in self.seen.found.values())
                report(f"{self.seen.kills} kills, {owners} owners, {time.monotonic() - began_s:.0f} s")
        self._over.set()

    async def _strike(self, name: str, *, gently: bool) -> None:
        child = self._stack.children[name]
        await until(partial(_runs, child), what=f"{name}, which was killed before")
        if gently:
            self.seen.restarted[name] += 1
            await child.stop()
            await self._stack.start_service(name)
        else:
            self.seen.killed[name] += 1
            child.kill()

    async def _decides(self) -> bool | NotYet:
        return self._decided >= DECIDED or _left_of_hour_s() < CLEAR_S or NotYet(f"{self._decided}")

    async def _owners_of(self, kind: Kind) -> None:
        chance = random.Random(f"{self._options.seed} {kind.name}")
        async with asyncio.TaskGroup() as group:
            while not self._over.is_set():
                await _clear_of_the_hour()
                owner, before = await self._owners.make(kind), self.seen.kills
                ids = await self._ask(kind, owner, chance)
                self.seen.found[kind.name].kills += self.seen.kills - before
                group.create_task(self._look(kind, owner, ids))

    async def _ask(self, kind: Kind, owner: Owner, chance: random.Random) -> set[str]:
        model = "stub/echo:free" if kind.name == "free window" else "stub/echo"
        body, ids = chat(COSTLY, model=model, max_tokens=MOST_TOKENS), set[str]()
        until_kills, spread_s = self.seen.kills + chance.randint(*KILLS_OF_OWNER), chance.choice(SPREAD_S)

        async def client(number: int, after_s: float) -> None:
            await asyncio.sleep(after_s)
            for asked in count():
                if asked >= EACH:
                    if number >= STAY or self._over.is_set() or self.seen.kills >= until_kills:
                        return
                    if _left_of_hour_s() < CLEAR_S:
                        return
                    await asyncio.sleep(AGAIN_S)
                asked_s = time.monotonic()
                answer = await self._http.post(
                    f"{self._stack.base_url}/chat/completions", json=body, headers=owner.headers
                )
                self.seen.statuses[str(answer.status_code)] += 1
                self._decided += asked_s > self._killed_s and answer.status_code in (200, 402, 429)
                if answer.status_code < 500 and "x-request-id" in answer.headers:
                    ids.add(answer.headers["x-request-id"])

        await asyncio.gather(*(client(number, chance.uniform(0.0, spread_s)) for number in range(CLIENTS)))
        return ids

    async def _look(self, kind: Kind, owner: Owner, ids: set[str]) -> None:
        await until(partial(self._booked, owner.subject, ids), what=f"entries of {kind.name}", within_s=WITHIN_S)
        used = int(await self._database.fetchval(kind.used, owner.subject))
        found, share = self.seen.found[kind.name], used / kind.most
        found.owners += 1
        found.over += used > kind.most
        found.least, found.most = min(found.least, share), max(found.most, share)
        if used > kind.most:
            self.seen.overruns.append(f"{owner.subject} used {used} of {kind.most} ({kind.name})")
            report(self.seen.overruns[-1])

    async def _booked(self, subject: str, ids: set[str]) -> bool | NotYet:
        rows = await self._database.fetch("select request_id::text from ledger.usage where subject = $1", subject)
        missing = ids - {row["request_id"] for row in rows}
        return NotYet(f"{len(missing)} of {len(ids)} are missing: {sorted(missing)[:3]}") if missing else True


async def _runs(child: Child) -> bool | None:
    try:
        return psutil.pid_exists(child.pid) or None
    except StackError:
        return None


def _left_of_hour_s() -> int:
    now = datetime.now(UTC)
    return 3600 - now.minute * 60 - now.second


async def _clear_of_the_hour() -> None:
    if (left_s := _left_of_hour_s()) < CLEAR_S:
        await asyncio.sleep(left_s + 1)
