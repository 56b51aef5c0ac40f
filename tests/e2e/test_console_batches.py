"""Batches, files and quotas of provider keys in the console: seen by whose they are, opened by nobody."""

import json

import openai
import pytest

from tests.e2e.plane import Person, Plane
from tests.e2e.test_console_pages import desk_of
from tests.stacks import Gateway, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _batch(plane: Plane, person: Person, organization: str, models: list[str]) -> str:
    """Made and ended; returns the ID of its file."""
    headers = {"X-KiloCode-OrganizationId": organization}
    await plane.becomes(400, person.key, organization)
    async with openai.AsyncOpenAI(
        base_url=plane.gateway.base_url, api_key=person.key, default_headers=headers, max_retries=0
    ) as client:
        lines = [
            {
                "custom_id": f"line-{number}",
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": {"model": model, "messages": [{"role": "user", "content": "secret words"}]},
            }
            for number, model in enumerate(models)
        ]
        content = "\n".join(map(json.dumps, lines)).encode()
        file = await client.files.create(file=("secret-name.jsonl", content), purpose="batch")
        made = await client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )

        async def ended() -> bool | None:
            return (await client.batches.retrieve(made.id)).status in ("completed", "failed") or None

        await until(ended, what="the batch's end", within_s=90)
    return str(file.id)


async def test_a_member_sees_batches_of_its_own_keys_and_an_owner_all(gateway: Gateway) -> None:
    plane = Plane(gateway, 1)
    owner, member, stranger = await plane.person(), await plane.person(), await plane.person()
    organization = (await plane.call("POST", "/api/organizations", {"name": "Batches"}, key=owner.key))["id"]
    await plane.join(organization, owner, member)
    file_ids = [
        await _batch(plane, owner, organization, ["stub/echo", "no/such"]),
        await _batch(plane, member, organization, ["stub/echo"]),
    ]
    path = f"/api/organizations/{organization}"

    async def all_seen() -> bool | None:
        seen = await plane.call("GET", f"{path}/batches", key=owner.key)
        return [one["status"] for one in seen] == ["completed", "completed"] or None

    await until(all_seen, what="both batches")
    newest, oldest = await plane.call("GET", f"{path}/batches", key=owner.key)
    assert (oldest["lines"], oldest["completed"], oldest["failed"]) == (2, 1, 1)
    assert [one["name"] for one in await plane.call("GET", f"{path}/batches", key=member.key)] == [newest["name"]]
    files = [await plane.call("GET", f"{path}/files", key=who.key) for who in (owner, member)]
    # The input, what was answered, and the errors of one.
    assert [len(one) for one in files] == [5, 2]
    for shown in ("batches", "files"):
        await plane.call("GET", f"{path}/{shown}", key=stranger.key, status=404)
        first = await plane.call("GET", f"{path}/{shown}?limit=1", key=owner.key)
        assert len(first) == 1
    assert all(one["owner"] != f"org:{organization}" for one in await plane.call("GET", "/api/batches"))

    async with desk_of(gateway) as desk:
        await desk.sign_in(member.key)
        page = (await desk.http.get(f"/{organization}/batches")).text
        assert "No batches" in (await desk.http.get("/me/batches")).text
    assert page.count('<span class="mark completed">') == 1
    for answer in (page, json.dumps(files)):
        assert not [one for one in (*file_ids, "secret") if one in answer]


async def test_the_operator_sees_what_waits_and_what_is_left_of_quotas(gateway: Gateway) -> None:
    plane = Plane(gateway, 1)
    person = await plane.person()
    for path in ("batches", "provider-key-quotas"):
        await plane.call("GET", f"/api/{path}", key=person.key, status=403)
    await plane.becomes(400, person.key)
    await plane.ask(person.key, model="counted/echo")

    async def used() -> bool | None:
        rows = await plane.call("GET", "/api/provider-key-quotas")
        return ("counted", "requests_per_month", 1_000) in [
            (one["provider"], one["limit"], one["most"]) for one in rows if one["used"]
        ] or None

    await until(used, what="the use of the key")
    async with desk_of(gateway) as desk:
        await desk.sign_in(gateway.stack.operator_token())
        page = (await desk.http.get("/all/limits")).text
        assert "Of everybody, those that have not ended." in (await desk.http.get("/all/batches")).text
    assert "requests per month" in page
    assert "SLUICE_STUB_KEY" in page
    assert gateway.stack.stub_key() not in page
