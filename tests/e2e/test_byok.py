"""Bring your own key: it is used by itself, costs nothing, never falls back, and is never seen again."""

import asyncio
import json
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from tests.e2e.plane import LET_IN, Person, Plane
from tests.service_account import ACCOUNT
from tests.stacks import Gateway, NotYet, until

GOOD, BAD, OURS = "sk-stub-personal-0001", "sk-refused-key-0002", "sk-stub-organization-0003"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def plane(gateway: Gateway) -> Plane:
    return Plane(gateway, 1)


def _keys_of(person: Person) -> str:
    return f"/api/accounts/{person.account_id}/provider-keys"


async def _put(plane: Plane, path: str, key: str, caller: str, provider: str = "stub") -> None:
    await plane.call("PUT", f"{path}/{provider}", {"key": key}, key=caller)

    async def stored() -> bool | None:
        rows = await plane.call("GET", path, key=caller)
        return any(row["provider"] == provider and row["tail"] == f"…{key[-4:]}" for row in rows) or None

    await until(stored, what="the stored key")


async def _calls(plane: Plane, key: str) -> int:
    return (await plane.gateway.stub_stats()).get(f"calls with …{key[-4:]}", 0)


async def _answered_with(plane: Plane, key: str, caller: str, organization: str | None = None) -> dict[str, Any]:
    """Asks until the provider was called with this key; returns the ledger entry of that request."""

    async def asked() -> str | None:
        before = await _calls(plane, key)
        response = await plane.ask(caller, organization_id=organization)
        used = await _calls(plane, key) > before
        return response.headers["x-request-id"] if used else None

    return await plane.gateway.entry(await until(asked, what=f"a call with …{key[-4:]}"))


async def test_a_personal_key_is_used_by_itself_and_costs_nothing(plane: Plane) -> None:
    person = await plane.person()
    response = await plane.ask(person.key)
    entry = await plane.gateway.entry(response.headers["x-request-id"])
    assert (entry["byok"], entry["cost_microdollars"] > 0) == (False, True)
    await _put(plane, _keys_of(person), GOOD, person.key)
    entry = await _answered_with(plane, GOOD, person.key)
    assert (entry["byok"], entry["cost_microdollars"], entry["price_version"]) == (True, 0, "byok")
    assert entry["output_tokens"] > 0
    (row,) = await plane.call("GET", _keys_of(person), key=person.key)
    assert (row["provider"], row["tail"], row["added_by"]) == ("stub", "…0001", person.account_id)
    assert GOOD not in json.dumps(row)
    # Removed, the gateway's own key is used again.
    await plane.call("DELETE", f"{_keys_of(person)}/stub", key=person.key)

    async def paid() -> bool | None:
        answered = await plane.ask(person.key)
        return not (await plane.gateway.entry(answered.headers["x-request-id"]))["byok"] or None

    await until(paid, what="the gateway's key")

    async def unlisted() -> bool | None:
        return await plane.call("GET", _keys_of(person), key=person.key) == [] or None

    await until(unlisted, what="a list without the key")
    await plane.call("DELETE", f"{_keys_of(person)}/stub", key=person.key, status=404)


async def test_a_service_account_is_exchanged_for_a_token_for_both_of_vertex_ai_s_protocols(plane: Plane) -> None:
    person = await plane.person()
    path = f"{_keys_of(person)}/vertex"
    await plane.call("PUT", path, {"key": json.dumps({**ACCOUNT, "private_key": "x"})}, key=person.key, status=400)
    # As the file that Google gives, over several lines; the check gets a token.
    await plane.call("PUT", path, {"key": json.dumps(ACCOUNT, indent=2), "check": True}, key=person.key)
    token = "sk-stub-of-sluice"

    async def asked(model: str, *, stream: bool) -> dict[str, Any] | None:
        before = await _calls(plane, token)
        response = await plane.ask(person.key, model=model, stream=stream)
        if response.status_code == 503:
            return None
        assert response.status_code == 200, response.text
        assert await _calls(plane, token) == before + 1
        return await plane.gateway.entry(response.headers["x-request-id"])

    for model in ("vertex/gemini", "vertex/claude"):
        for stream in (False, True):
            entry = await until(lambda model=model, stream=stream: asked(model, stream=stream), what="the stored key")  # type: ignore[misc]
            assert (entry["byok"], entry["provider_id"], entry["cost_microdollars"]) == (True, "vertex", 0)
            assert entry["output_tokens"] > 0
    sent = (await plane.gateway.http.get(f"{plane.gateway.stack.stub_url}/stub/last")).json()
    assert sent["anthropic_version"] == "vertex-2023-10-16"
    assert "model" not in sent


async def test_a_hint_is_given_and_the_key_taken(plane: Plane) -> None:
    person = await plane.person()
    stored = await plane.call("PUT", f"{_keys_of(person)}/azure", {"key": "with space"}, key=person.key)
    assert "white space" in stored["hint"]
    key = json.dumps({"apiKey": "sk-stub-azure-0009", "resource": "mine"})
    assert (await plane.call("PUT", f"{_keys_of(person)}/azure", {"key": key}, key=person.key))["hint"] is None

    async def asked() -> bool | None:
        response = await plane.ask(person.key, model="azure/echo")
        return response.status_code == 200 or None

    await until(asked, what="the stored key")
    assert await _calls(plane, "sk-stub-azure-0009") == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_a_key_that_fails_is_the_client_s_to_mend_and_never_replaced(plane: Plane, stream: bool) -> None:
    person = await plane.person()
    await _put(plane, _keys_of(person), BAD, person.key)
    gateways_key = plane.gateway.stack.stub_key()

    async def refused() -> Any:
        response = await plane.ask(person.key, stream=stream)
        return response if response.status_code == 401 else None

    await until(refused, what="the refusal")
    before, tried = await _calls(plane, gateways_key), await _calls(plane, BAD)
    for _ in range(5):
        response = await plane.ask(person.key, stream=stream)
        assert response.status_code == 401
        assert "Your own key for stub was refused" in response.json()["error"]["message"]
        entry = await plane.gateway.entry(response.headers["x-request-id"])
        assert (entry["byok"], entry["outcome"], entry["cost_microdollars"]) == (True, "failed", 0)
    (row,) = await plane.call("GET", _keys_of(person), key=person.key)
    assert "was refused" in row["last_error"]
    assert row["last_used_at_ms"] >= row["updated_at_ms"]
    assert await _calls(plane, gateways_key) == before
    assert await _calls(plane, BAD) == tried + 5
    # Replaced, it works.
    await _put(plane, _keys_of(person), GOOD, person.key)
    assert (await _answered_with(plane, GOOD, person.key))["outcome"] == "completed"

    async def mended() -> bool | None:
        (row,) = await plane.call("GET", _keys_of(person), key=person.key)
        return (row["last_used_at_ms"] is not None and row["last_error"] is None) or None

    await until(mended, what="a last use without an error")


async def test_the_organization_s_key_is_used_in_its_context_and_managed_by_owners_and_billing(plane: Plane) -> None:
    owner, billing, member = [await plane.person() for _ in range(3)]
    organization = (await plane.call("POST", "/api/organizations", {"name": "K"}, key=owner.key))["id"]
    path = f"/api/organizations/{organization}"
    for person, role in ((billing, "billing_manager"), (member, "member")):
        await plane.join(organization, owner, person, role)
    await plane.becomes(LET_IN, member.key, organization)
    keys = f"{path}/provider-keys"
    await plane.call("PUT", f"{keys}/stub", {"key": OURS}, key=member.key, status=403)
    await plane.call("GET", keys, key=member.key, status=403)
    await _put(plane, keys, OURS, billing.key)
    await _put(plane, _keys_of(member), GOOD, member.key)
    entry = await _answered_with(plane, OURS, member.key, organization)
    assert (entry["byok"], entry["organization_id"]) == (True, organization)
    assert (await _answered_with(plane, GOOD, member.key))["organization_id"] is None
    await plane.call("GET", _keys_of(owner), key=member.key, status=404)
    actions = [row["action"] for row in await plane.call("GET", f"{path}/audit", key=owner.key)]
    assert "provider_key.put" in actions


@pytest.mark.parametrize(
    ("provider", "key", "hint"),
    [
        ("nobody", "sk-x", "can be added for"),
        ("stub", "", "characters"),
        ("stub", "sk-x\nsk-y", "line breaks"),
        ("stub", "ключ", "ASCII"),
        ("stub", "x" * 9_000, "characters"),
    ],
)
async def test_keys_of_a_wrong_form_are_refused_at_once(plane: Plane, provider: str, key: str, hint: str) -> None:
    person = await plane.person()
    answer = await plane.call("PUT", f"{_keys_of(person)}/{provider}", {"key": key}, key=person.key, status=400)
    assert hint in answer["detail"]
    assert not key or len(key) < 5 or key not in answer["detail"]


async def test_the_provider_can_be_asked_before_a_key_is_stored(plane: Plane) -> None:
    person = await plane.person()
    path = f"{_keys_of(person)}/stub"
    refused = await plane.call("PUT", path, {"key": BAD, "check": True}, key=person.key, status=400)
    assert "refuses this key" in refused["detail"]
    absent = await plane.call(
        "PUT", f"{_keys_of(person)}/absent", {"key": BAD, "check": True}, key=person.key, status=503
    )
    assert "does not answer" in absent["detail"]
    assert await plane.call("GET", _keys_of(person), key=person.key) == []
    await plane.call("PUT", path, {"key": GOOD, "check": True}, key=person.key)
    assert (await _answered_with(plane, GOOD, person.key))["byok"]


async def test_key_encryption_keys_rotate_online(plane: Plane) -> None:
    """A new version is put in front, the vault restarted, everything wrapped anew, the old version destroyed."""
    people = [await plane.person() for _ in range(3)]
    for person in people:
        await _put(plane, _keys_of(person), GOOD, person.key)
    stack = plane.gateway.stack
    assert (await plane.call("GET", "/api/vault"))["kek_version"] == "v1"
    await stack.rotate_key_encryption_key("key-vault")

    async def left(some: bool) -> bool | None:
        now = await plane.call("GET", "/api/vault")
        return (now["kek_version"] == "v2" and (now["to_rewrap"] > 0) == some) or None

    await until(lambda: left(True), what="the new version")
    assert (await plane.ask(people[0].key)).status_code == 200
    await plane.call("POST", "/api/vault/rewrap", key=people[0].key, status=403)
    await plane.call("POST", "/api/vault/rewrap")
    await until(lambda: left(False), what="everything wrapped anew")
    versions = await plane.gateway.database.fetch(
        "select distinct kek_version from vault.credentials where not removed"
    )
    assert [row[0] for row in versions] == ["v2"]
    assert await plane.gateway.database.fetchval("select kek_version from vault.key_pair") == "v2"
    await stack.forget_key_encryption_key("key-vault", "v1")
    await until(lambda: left(False), what="the vault without the old version")
    for person in people:
        assert (await _answered_with(plane, GOOD, person.key))["byok"]


async def test_a_stored_key_can_be_tested(plane: Plane) -> None:
    person = await plane.person()

    async def tested(key: str) -> Any:
        await _put(plane, _keys_of(person), key, person.key)
        order = await plane.call("POST", f"{_keys_of(person)}/stub/test", key=person.key)

        async def answer() -> Any:
            (row,) = await plane.call("GET", _keys_of(person), key=person.key)
            return row if (row["last_used_at_ms"] or 0) >= order["ordered_at_ms"] else None

        return await until(answer, what="the provider's answer")

    assert (await tested(GOOD))["last_error"] is None
    assert "was refused" in (await tested(BAD))["last_error"]
    await plane.call("POST", f"{_keys_of(person)}/absent/test", key=person.key, status=404)


async def test_nobody_gets_another_s_key_while_vault_and_database_die(plane: Plane) -> None:
    """Many people with keys of their own ask at once; the provider says with which key each was asked."""
    people = []
    for number in range(6):
        person = await plane.person()
        key = f"sk-stub-of-number-{number}-9{number}7{number}"
        await _put(plane, _keys_of(person), key, person.key)
        people.append((person, key))
    answered = dict.fromkeys((key for _person, key in people), 0)
    stopping = asyncio.Event()

    async def ask_on(person: Person, key: str) -> None:
        while not stopping.is_set():
            response = await plane.ask(person.key)
            assert response.status_code in (200, 500, 502, 503, 504), response.text
            if response.status_code == 200:
                assert response.json()["system_fingerprint"] == f"…{key[-4:]}", "somebody else's key was used"
                answered[key] += 1

    async def more(count: int) -> None:
        wanted = {key: so_far + count for key, so_far in answered.items()}

        async def enough() -> bool | None:
            return all(answered[key] >= number for key, number in wanted.items()) or None

        await until(enough, what="answers for everybody", within_s=90)

    asking = [asyncio.create_task(ask_on(*pair)) for pair in people]
    try:
        await more(5)
        plane.gateway.stack.children["key-vault"].kill()
        plane.gateway.stack.children["postgres"].kill()
        await more(10)
    finally:
        stopping.set()
        await asyncio.gather(*asking)

    async def reconnected() -> bool | None:
        try:
            plane.gateway.database = await asyncpg.connect(plane.gateway.stack.postgres.admin_url())
        except (OSError, asyncpg.PostgresError):
            return None
        return True

    await until(reconnected, what="PostgreSQL")


async def test_keys_outlive_the_vault_and_the_broker(plane: Plane) -> None:
    person = await plane.person()
    await _put(plane, _keys_of(person), GOOD, person.key)
    for victim in ("key-vault", "broker"):
        plane.gateway.stack.children[victim].kill()

        async def ready() -> bool | None:
            health = await plane.gateway.stack.health()
            return all(answer.get("ready") for answer in health.values()) or None

        await until(ready, what="readiness", within_s=90)

        async def billed_to_nobody() -> bool | NotYet:
            response = await plane.ask(person.key)
            if response.status_code != 200:
                return NotYet(f"{response.status_code} {response.text}")
            entry = await plane.gateway.entry(response.headers["x-request-id"])
            assert entry["byok"], "the gateway's key was used for somebody who has an own one"
            return True

        await until(billed_to_nobody, what="an answer", within_s=60)
    assert len(await plane.call("GET", _keys_of(person), key=person.key)) == 1
