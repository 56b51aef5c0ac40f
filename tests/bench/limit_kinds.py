"""Each kind of limit that `./sluice bench limits` breaks services over: how it is set, and what was used of it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from deploy.local.stack import Stack
from services.cli.client import ManagementClient
from tests.stacks import chat, until

FREE_REQUESTS = 20
HOLDS_WITHIN_S = 90.0
_CALLED = "select count(*) from ledger.usage where subject = $1 and attempts > 0"
_COST = "select coalesce(sum(cost_microdollars), 0) from ledger.usage where subject = $1"
_TOKENS = "select coalesce(sum(input_tokens + output_tokens), 0) from ledger.usage where subject = $1"
_AT_ONCE = """
    select coalesce(max(running), 0) from (
        select sum(step) over (order by at, step) as running from (
            select routed_at as at, 1 as step from ledger.usage where subject = $1 and attempts > 0
            union all select ended_at, -1 from ledger.usage where subject = $1 and attempts > 0
        ) as steps
    ) as sums
"""
"""A request has its place from before it is routed until after it has ended."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A limit."""

    name: str
    most: int
    used: str
    """SQL: what a subject has used of it."""
    scope: str | None = None
    meters: Mapping[str, str | int] = field(default_factory=dict[str, str | int])
    organization: bool = False
    credit: str = "100"
    daily_usd: str | None = None
    """Of each member, by the organization's policy."""


KINDS = (
    Kind("free window", FREE_REQUESTS, _CALLED),
    Kind("credit", 50_000, _COST, credit="0.05"),
    Kind("member's day, USD", 50_000, _COST, organization=True, daily_usd="0.05"),
    Kind("team's week, USD", 50_000, _COST, "team:core", {"usd_per_week": "0.05"}, organization=True),
    Kind("account's month, requests", 15, _CALLED, "all", {"requests_per_month": 15}),
    Kind("model's day, tokens", 9_000, _TOKENS, "model", {"tokens_per_day": 9_000}),
    Kind("key's hour, requests", 15, _CALLED, "key", {"requests_per_hour": 15}),
    Kind("account's requests at once", 3, _AT_ONCE, "all", {"concurrent": 3, "requests_per_minute": 10**6}),
)


@dataclass(frozen=True, slots=True)
class Owner:
    """Who asks under one limit, and nobody else does."""

    subject: str
    headers: dict[str, str]


class Owners:
    """Makes them."""

    def __init__(self, stack: Stack, http: httpx.AsyncClient) -> None:
        self._stack = stack
        self._http = http
        self._console = ManagementClient(stack.console_url, stack.operator_token())
        self._made = 0

    async def make(self, kind: Kind) -> Owner:
        """One whose limit holds already."""
        number, self._made = self._made, self._made + 1
        if kind.name == "free window":
            address = f"198.51.{number // 250}.{number % 250}"
            return Owner(f"ip:{address}", {"X-Forwarded-For": address})
        account = (await self._call("POST", "/api/accounts", {"email": f"{number}@example.com"}))["id"]
        limits = {"limits": dict(kind.meters)} if kind.scope == "key" else {}
        key = (await self._call("POST", f"/api/accounts/{account}/keys", limits))["key"]
        subject, path, headers = f"acct:{account}", f"/api/accounts/{account}", {"Authorization": f"Bearer {key}"}
        if kind.organization:
            made = await self._call("POST", "/api/organizations", {"name": "bench", "owner": account})
            subject, path = f"org:{made['id']}", f"/api/organizations/{made['id']}"
            headers["X-KiloCode-OrganizationId"] = made["id"]
        if kind.daily_usd:
            await self._call("PUT", f"{path}/policy", {"member_daily_limit_usd": kind.daily_usd})
        if kind.scope == "team:core":
            await self._call("PUT", f"{path}/teams/core")
            await self._call("PUT", f"{path}/teams/core/members/{account}")
        if kind.scope and kind.scope != "key":
            await self._call("PATCH", f"{path}/limits", {"scope": kind.scope, "meters": dict(kind.meters)})
        await self._call("POST", f"{path}/credit", {"usd": kind.credit})
        await self._holds(headers, kind)
        return Owner(subject, headers)

    async def _holds(self, headers: dict[str, str], kind: Kind) -> None:
        """Credit and limit have reached rate-limit: what can never fit is refused, and what fits is not."""

        async def asked(most: int) -> httpx.Response:
            body = chat("hi", max_tokens=most)
            return await self._http.post(f"{self._stack.base_url}/chat/completions", json=body, headers=headers)

        async def holds() -> bool | None:
            answer = await asked(1)
            if answer.status_code != 200:
                return None
            if kind.daily_usd or any(not name.startswith(("requests", "concurrent")) for name in kind.meters):
                return (await asked(100_000)).status_code in (402, 429) or None
            return not kind.meters or "ratelimit" in answer.headers or None

        await until(holds, what=f"the limit of {kind.name}", within_s=HOLDS_WITHIN_S)

    async def _call(self, method: str, path: str, body: Any = None) -> Any:
        return await asyncio.to_thread(self._console.call, method, path, body)
