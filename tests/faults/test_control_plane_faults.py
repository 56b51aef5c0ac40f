"""Console, PostgreSQL and broker killed in the middle of changes: no change that was confirmed is lost."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest
import pytest_asyncio

from tests.e2e.plane import LET_IN, Plane
from tests.faults.books import audited
from tests.stacks import running_stack, until


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def plane(kafka: str, forks: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Plane]:
    async with running_stack(tmp_path_factory.mktemp("plane-faults"), kafka, instances={"ingress": 2}) as gateway:
        yield Plane(gateway, 2)


class Changes:
    """Makes accounts, keys, organizations and revocations until it is stopped, and keeps what was confirmed."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self.confirmed: list[tuple[str, str | None, int]] = []
        """Key, organization, and what the doors must answer."""

    async def make_on(self) -> None:
        while True:
            try:
                await self._make_one()
            except (httpx.TransportError, AssertionError):
                await asyncio.sleep(0.05)

    async def _make_one(self) -> None:
        person = await self._plane.person()
        self.confirmed.append((person.key, None, LET_IN))
        organization = (await self._plane.call("POST", "/api/organizations", {"name": "F"}, key=person.key))["id"]
        self.confirmed.append((person.key, organization, LET_IN))
        second = await self._plane.key(person.account_id)
        await self._plane.call("DELETE", f"/api/keys/{second.key_id}")
        self.confirmed.append((second.key, None, 401))

    async def more(self, count: int) -> None:
        wanted = len(self.confirmed) + count

        async def made() -> bool | None:
            return len(self.confirmed) >= wanted or None

        await until(made, what=f"{count} more changes", within_s=90)


@pytest.mark.parametrize("victim", ["console", "postgres", "broker"])
async def test_no_confirmed_change_is_lost(plane: Plane, victim: str) -> None:
    changes = Changes(plane)
    making = asyncio.create_task(changes.make_on())
    try:
        await changes.more(9)
        plane.gateway.stack.children[victim].kill()
        await changes.more(9)
    finally:
        making.cancel()
    for key, organization, status in changes.confirmed:
        await plane.becomes(status, key, organization)
    admin = await asyncpg.connect(plane.gateway.stack.postgres.admin_url())
    try:

        async def told() -> bool | None:
            return await admin.fetchval("select count(*) from control.outbox") == 0 or None

        await until(told, what="an empty outbox")
    finally:
        await admin.close()
    await audited(plane.gateway)
