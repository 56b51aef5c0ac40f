"""The control plane as its users have it: people with keys, and doors that let them in or not."""

import asyncio
import secrets
from dataclasses import dataclass, replace
from typing import Any

import httpx

from tests.stacks import Gateway, chat, until

LET_IN = 400
"""What a request with an empty body gets from a door that let its key in."""


@dataclass(frozen=True)
class Person:
    """An account and a key of it."""

    account_id: str
    key_id: str
    key: str
    email: str = ""


class Plane:
    """Calls the management API as anybody, and knocks at every ingress."""

    def __init__(self, gateway: Gateway, ingresses: int) -> None:
        self.gateway = gateway
        self.doors = [gateway.stack.ingress_url(number) for number in range(1, ingresses + 1)]

    async def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, status: int | None = None
    ) -> Any:
        """The answer's JSON, after comparing its status (default: any below 300)."""
        response = await self.gateway.http.request(
            method,
            f"{self.gateway.stack.console_url}{path}",
            json=body,
            headers={"Authorization": f"Bearer {key or self.gateway.stack.operator_token()}"},
        )
        assert (response.status_code == status) if status else response.is_success, response.text
        return response.json()

    async def person(self, *scopes: str) -> Person:
        """A new account with a key."""
        email = f"{secrets.token_hex(8)}@example.com"
        account_id = (await self.call("POST", "/api/accounts", {"email": email}))["id"]
        return replace(await self.key(account_id, *scopes), email=email)

    async def key(self, account_id: str, *scopes: str) -> Person:
        """One more key of an account."""
        body = {"scopes": list(scopes or ("inference", "manage"))}
        issued = await self.call("POST", f"/api/accounts/{account_id}/keys", body)
        return Person(account_id, issued["id"], issued["key"])

    async def join(self, organization: str, owner: Person, person: Person, role: str = "member") -> None:
        """The owner invites, and the person accepts."""
        invited = {"account": person.account_id, "role": role}
        made = await self.call("POST", f"/api/organizations/{organization}/invitations", invited, key=owner.key)
        await self.call("POST", f"/api/invitations/{made['id']}/accept", key=person.key)

    async def knock(self, door: str, key: str, organization_id: str | None = None) -> int:
        """The status of a request that is refused for its body, unless it is refused for its key before."""
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        if organization_id:
            headers["X-KiloCode-OrganizationId"] = organization_id
        response = await self.gateway.http.post(f"{door}/chat/completions", content=b"{}", headers=headers)
        return response.status_code

    async def becomes(self, status: int, key: str, organization_id: str | None = None) -> None:
        """Waits until every door answers so."""

        async def all_doors() -> bool | None:
            seen = await asyncio.gather(*(self.knock(door, key, organization_id) for door in self.doors))
            return set(seen) == {status} or None

        await until(all_doors, what=f"{status} at {len(self.doors)} doors", within_s=20)

    async def ask(self, key: str, text: str = "hi", organization_id: str | None = None, **more: Any) -> httpx.Response:
        """A chat completion at the first door."""
        headers = {"Authorization": f"Bearer {key}"}
        if organization_id:
            headers["X-KiloCode-OrganizationId"] = organization_id
        return await self.gateway.post(chat(text, **more), **headers)
