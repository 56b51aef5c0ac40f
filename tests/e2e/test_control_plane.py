"""Accounts, organizations, tokens and roles, through two ingresses and one console."""

import asyncio
import json
import random
import re
import secrets
import shutil
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import jwt
import pytest
import pytest_asyncio

from services.console.store.keys import MOST_WORKING
from services.console.store.organizations import MOST_OWNED
from tests.clients.environments import NODE, installed, run
from tests.e2e.plane import LET_IN, Plane
from tests.stacks import chat, running_stack, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def plane(kafka: str, forks: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Plane]:
    async with running_stack(tmp_path_factory.mktemp("plane"), kafka, instances={"ingress": 2}) as gateway:
        yield Plane(gateway, 2)


# Organizations.


async def test_a_member_acts_for_the_organization_by_token_and_by_header(plane: Plane) -> None:
    owner, member, outsider = [await plane.person() for _ in range(3)]
    organization = (await plane.call("POST", "/api/organizations", {"name": "Acme"}, key=owner.key))["id"]
    path = f"/api/organizations/{organization}"
    await plane.join(organization, owner, member)
    await plane.becomes(LET_IN, member.key, organization)
    taken = await plane.call("POST", f"{path}/token", key=member.key)
    assert taken["role"] == "member"
    claims = jwt.decode(taken["token"], options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 15 * 60
    assert (claims["organizationId"], claims["organizationRole"]) == (organization, "member")
    for key, header in ((taken["token"], None), (taken["token"], organization), (member.key, organization)):
        response = await plane.ask(key, organization_id=header)
        assert response.status_code == 200
        entry = await plane.gateway.entry(response.headers["x-request-id"])
        assert (entry["subject"], entry["organization_id"], entry["account_id"]) == (
            f"org:{organization}",
            organization,
            member.account_id,
        )
    assert await plane.knock(plane.doors[0], taken["token"], "org_00000000000000000000") == 403
    assert await plane.knock(plane.doors[0], outsider.key, organization) == 403
    # Removing acts at once, not when the token ends.
    await plane.call("DELETE", f"{path}/members/{member.account_id}", key=owner.key)
    await plane.becomes(403, taken["token"])
    await plane.becomes(403, member.key, organization)
    await plane.call("POST", f"{path}/token", key=member.key, status=404)
    assert await plane.knock(plane.doors[0], member.key) == LET_IN


async def test_kilo_code_s_client_finds_its_account_and_what_an_organization_leaves_it(plane: Plane) -> None:
    """The calls of Kilo-Org/kilocode, packages/kilo-gateway/src/api, as they are made."""
    person = await plane.person()
    organization = (await plane.call("POST", "/api/organizations", {"name": "K"}, key=person.key))["id"]
    path = f"/api/organizations/{organization}"
    await plane.call("PUT", f"{path}/policy", {"model_allow": ["stub/*:free"]}, key=person.key)
    root = plane.doors[0].removesuffix("/api/gateway")
    bearer = {"Authorization": f"Bearer {person.key}"}

    async def read(path: str, headers: dict[str, str], status: int = 200) -> Any:
        response = await plane.gateway.http.get(f"{root}{path}", headers=headers)
        assert response.status_code == status, response.text
        return response.json()

    async def filtered() -> Any:
        response = await plane.gateway.http.get(f"{root}/api/v1{path.removeprefix('/api')}/models", headers=bearer)
        listed = [model["id"] for model in response.json().get("data", [])]
        return listed if listed and all("kilo-auto" in name or name.endswith(":free") for name in listed) else None

    listed = await until(filtered, what="the list under the policy")
    assert {"stub/echo:free", "kilo-auto/free", "kilo-auto/small"} <= set(listed)
    by_header = {**bearer, "X-KILOCODE-ORGANIZATIONID": organization}
    for models in ("/api/openrouter/models", "/api/v1/models", "/api/gateway/models"):
        assert [one["id"] for one in (await read(models, by_header))["data"]] == listed
        assert len((await read(models, bearer))["data"]) > len(listed)
    profile = await read("/api/profile", bearer)
    assert profile["user"]["id"] == person.account_id
    assert profile["organizations"] == [{"id": organization, "name": organization, "role": "owner"}]
    assert (await read("/api/profile/balance", by_header))["balance"] == 0
    assert (await read(f"{path}/defaults", bearer))["defaultFreeModel"] == "stub/echo:free"
    for path_ in ("/api/profile", "/api/profile/balance", f"{path}/models"):
        await read(path_, {"Authorization": "Bearer anonymous"}, 401)
    free = {"model": "stub/echo:free", "messages": [{"role": "user", "content": "hi"}]}
    response = await plane.gateway.http.post(
        f"{root}/api/openrouter/chat/completions", json=free, headers={"Authorization": "Bearer anonymous"}
    )
    assert response.status_code == 200


async def test_a_policy_decides_and_every_version_counts(plane: Plane) -> None:
    owner = await plane.person()
    organization = (await plane.call("POST", "/api/organizations", {"name": "P"}, key=owner.key))["id"]
    path = f"/api/organizations/{organization}/policy"
    assert (await plane.call("GET", path, key=owner.key))["version"] == 0
    assert (await plane.call("PUT", path, {"model_allow": ["other/*"]}, key=owner.key))["version"] == 1

    async def answers(status: int) -> None:
        async def now() -> bool | None:
            return (await plane.ask(owner.key, organization_id=organization)).status_code == status or None

        await until(now, what=f"{status} under the policy")

    await answers(403)
    assert (await plane.ask(owner.key)).status_code == 200
    assert (await plane.call("PUT", path, {"model_allow": ["STUB/*"]}, key=owner.key))["version"] == 2
    await answers(200)
    assert (await plane.call("PUT", path, {"provider_allow": ["elsewhere"]}, key=owner.key))["version"] == 3
    await answers(403)
    wrong: tuple[Any, ...] = ({"model_allow": "all"}, {"models": []}, {"model_allow": [""]})
    for document in wrong:
        await plane.call("PUT", path, document, key=owner.key, status=400)


async def test_roles_may_what_they_may_and_no_more(plane: Plane) -> None:
    owner, billing, member = [await plane.person() for _ in range(3)]
    organization = (await plane.call("POST", "/api/organizations", {"name": "R"}, key=owner.key))["id"]
    path = f"/api/organizations/{organization}"
    for person, role in ((billing, "billing_manager"), (member, "member")):
        await plane.join(organization, owner, person, role)
    # Escalation, in every way.
    for person in (member, billing):
        await plane.call("PUT", f"{path}/members/{person.account_id}", {"role": "owner"}, key=person.key, status=403)
        await plane.call("DELETE", f"{path}/members/{owner.account_id}", key=person.key, status=403)
        await plane.call("PUT", f"{path}/policy", {}, key=person.key, status=403)
        await plane.call("DELETE", path, key=person.key, status=403)
        await plane.call("POST", f"{path}/token", {"account": owner.account_id}, key=person.key, status=404)
        await plane.call("POST", f"/api/accounts/{owner.account_id}/keys", {}, key=person.key, status=404)
        await plane.call("DELETE", f"/api/keys/{owner.key_id}", key=person.key, status=404)
        for method, admin in (("GET", "/api/accounts"), ("GET", "/api/audit"), ("POST", "/api/signing-keys/rotate")):
            await plane.call(method, admin, key=person.key, status=403)
        assert len(await plane.call("GET", f"{path}/members", key=person.key)) == 3
    await plane.call("GET", f"{path}/audit", key=member.key, status=403)
    await plane.call("GET", f"{path}/audit", key=billing.key)
    await plane.call("PUT", f"{path}/members/{member.account_id}", {"role": "king"}, key=owner.key, status=400)
    # The last owner stays, until there is another.
    mine = f"{path}/members/{owner.account_id}"
    assert "last owner" in str(await plane.call("DELETE", mine, key=owner.key, status=409))
    await plane.call("PUT", mine, {"role": "member"}, key=owner.key, status=409)
    await plane.call("PUT", f"{path}/members/{billing.account_id}", {"role": "owner"}, key=owner.key)
    await plane.call("DELETE", mine, key=owner.key)
    await plane.call("DELETE", f"{path}/members/{member.account_id}", key=member.key)
    assert [row["role"] for row in await plane.call("GET", f"{path}/members", key=billing.key)] == ["owner"]


async def test_nobody_becomes_a_member_unasked_and_an_owner_learns_of_no_account(plane: Plane) -> None:
    owner, invited, other = [await plane.person() for _ in range(3)]
    organization = (await plane.call("POST", "/api/organizations", {"name": "I"}, key=owner.key))["id"]
    path = f"/api/organizations/{organization}"
    accounts = await plane.call("GET", "/api/accounts?limit=1000")
    emails = {row["id"]: row["email"] for row in accounts}
    seen: list[set[str]] = []
    for name in (emails[invited.account_id], "nobody@example.com"):
        refused = await plane.call("PUT", f"{path}/members/{name}", {"role": "member"}, key=owner.key, status=404)
        gone = await plane.call("DELETE", f"{path}/members/{name}", key=owner.key, status=404)
        made = await plane.call("POST", f"{path}/invitations", {"account": name.upper()}, key=owner.key, status=201)
        assert made["invited"] == name
        seen.append({json.dumps(answer).replace(name, "X") for answer in (refused, gone)} | set(made))
    assert seen[0] == seen[1]
    assert len(await plane.call("GET", f"{path}/invitations", key=owner.key)) == 2
    await plane.call("GET", f"{path}/invitations", key=invited.key, status=404)
    (mine,) = await plane.call("GET", "/api/invitations", key=invited.key)
    assert (mine["organization"], mine["role"], mine["invited_by"]) == ("I", "member", owner.account_id)
    assert await plane.call("GET", "/api/organizations", key=invited.key) == []
    for method, rest in (("POST", "/accept"), ("DELETE", "")):
        await plane.call(method, f"/api/invitations/{mine['id']}{rest}", key=other.key, status=404)
    await plane.call("POST", f"/api/invitations/{mine['id']}/accept", key=invited.key)
    assert [one["role"] for one in await plane.call("GET", "/api/organizations", key=invited.key)] == ["member"]
    await plane.call("POST", f"/api/invitations/{mine['id']}/accept", key=invited.key, status=404)
    await plane.call("POST", f"{path}/invitations", {"account": invited.account_id}, key=owner.key, status=409)
    # Declined, withdrawn, or of an owner who is one no more: nobody joins.
    for end in ("decline", "withdraw", "demote"):
        body = {"account": other.account_id, "role": "owner"}
        made = await plane.call("POST", f"{path}/invitations", body, key=owner.key, status=201)
        if end == "decline":
            await plane.call("DELETE", f"/api/invitations/{made['id']}", key=other.key)
        elif end == "withdraw":
            await plane.call("DELETE", f"{path}/invitations/{made['id']}", key=owner.key)
        else:
            await plane.call("PUT", f"{path}/members/{invited.account_id}", {"role": "owner"}, key=owner.key)
            await plane.call("PUT", f"{path}/members/{owner.account_id}", {"role": "member"}, key=invited.key)
        await plane.call("POST", f"/api/invitations/{made['id']}/accept", key=other.key, status=404)
    assert await plane.call("GET", "/api/invitations", key=other.key) == []


async def test_a_key_mints_none_that_outlives_it(plane: Plane) -> None:
    person = await plane.person()
    body = {"scopes": ["inference", "manage"], "ttl_s": 600}
    short = await plane.call("POST", f"/api/accounts/{person.account_id}/keys", body)
    more = await plane.call("POST", f"/api/accounts/{person.account_id}/keys", {}, key=short["key"])
    rotated = await plane.call("POST", f"/api/keys/{person.key_id}/rotate", key=short["key"])
    for minted in (more, rotated):
        assert minted["expires_at"] <= short["expires_at"]
        claims = jwt.decode(minted["key"], options={"verify_signature": False})
        assert claims["exp"] <= datetime.fromisoformat(short["expires_at"]).timestamp()


async def test_an_account_has_only_so_many_keys_and_organizations(plane: Plane) -> None:
    person = await plane.person()
    await plane.gateway.database.execute(
        "insert into control.api_keys (id, account_id, name, fingerprint, expires_at) "
        "select $1 || n, $1, '', n, now() + '1 hour' from generate_series(2, $2::int) n",
        person.account_id,
        MOST_WORKING,
    )
    refused = await plane.call("POST", f"/api/accounts/{person.account_id}/keys", {}, key=person.key, status=409)
    assert f"{MOST_WORKING} keys" in str(refused)
    await plane.gateway.database.execute(
        "with made as (insert into control.organizations (id, name) "
        "select $1 || n, '' from generate_series(1, $2::int) n returning id) "
        "insert into control.memberships (organization_id, account_id, role) select id, $1, 'owner' from made",
        person.account_id,
        MOST_OWNED,
    )
    refused = await plane.call("POST", "/api/organizations", {"name": "one more"}, key=person.key, status=409)
    assert f"{MOST_OWNED} organizations" in str(refused)


async def test_two_owners_cannot_leave_at_the_same_time(plane: Plane) -> None:
    first, second = await plane.person(), await plane.person()
    organization = (await plane.call("POST", "/api/organizations", {"name": "T"}, key=first.key))["id"]
    path = f"/api/organizations/{organization}/members"
    await plane.join(organization, first, second, "owner")

    async def leave(person: Any) -> int:
        response = await plane.gateway.http.delete(
            f"{plane.gateway.stack.console_url}{path}/{person.account_id}",
            headers={"Authorization": f"Bearer {person.key}"},
        )
        return int(response.status_code)

    assert sorted(await asyncio.gather(leave(first), leave(second))) == [200, 409]


async def test_what_one_may_not_see_does_not_exist(plane: Plane) -> None:
    owner, outsider = await plane.person(), await plane.person()
    organization = (await plane.call("POST", "/api/organizations", {"name": "S"}, key=owner.key))["id"]
    nothing = "org_00000000000000000000"
    for method, rest, body in (
        ("GET", "/members", None),
        ("GET", "/policy", None),
        ("PUT", "/policy", {}),
        ("POST", "/token", None),
        ("GET", "/audit", None),
        ("DELETE", "", None),
        ("PUT", f"/members/{outsider.account_id}", {"role": "owner"}),
    ):
        seen = [
            json.dumps(
                await plane.call(method, f"/api/organizations/{name}{rest}", body, key=outsider.key, status=404)
            ).replace(name, "X")
            for name in (organization, nothing)
        ]
        assert seen[0] == seen[1]
    assert await plane.call("GET", "/api/organizations", key=outsider.key) == []


async def test_a_slip_of_the_operator_is_no_account(plane: Plane) -> None:
    nobody = "/api/accounts/acct_00000000000000000000"
    for rest in ("credit", "credit/settings", "usage", "limits", "keys", "provider-keys", "mcp-servers", "requests"):
        await plane.call("GET", f"{nobody}/{rest}", status=404)
    change = {"scope": "all", "meters": {"requests_per_hour": 1}}
    await plane.call("PATCH", f"{nobody}/limits", change, status=404)


async def test_a_deleted_organization_s_running_streams_end_well(plane: Plane) -> None:
    owner = await plane.person()
    organization = (await plane.call("POST", "/api/organizations", {"name": "D"}, key=owner.key))["id"]
    await plane.becomes(LET_IN, owner.key, organization)
    token = (await plane.call("POST", f"/api/organizations/{organization}/token", key=owner.key))["token"]
    before = (await plane.gateway.stub_stats()).get("in_flight", 0)
    asking = asyncio.create_task(plane.ask(token, "[[stub chunks=40 gap_ms=50]]", stream=True))

    async def running() -> bool | None:
        return (await plane.gateway.stub_stats()).get("in_flight", 0) > before or None

    await until(running, what="running stream")
    await plane.call("DELETE", f"/api/organizations/{organization}", key=owner.key)
    await plane.becomes(403, token)
    assert (await asking).text.endswith("data: [DONE]\n\n")
    await plane.call("GET", f"/api/organizations/{organization}/members", key=owner.key, status=404)


# Keys and accounts.


async def test_signing_out_everywhere_ends_all_keys_and_tokens(plane: Plane) -> None:
    person = await plane.person()
    second = await plane.key(person.account_id)
    organization = (await plane.call("POST", "/api/organizations", {"name": "O"}, key=person.key))["id"]
    await plane.becomes(LET_IN, person.key, organization)
    token = (await plane.call("POST", f"/api/organizations/{organization}/token", key=person.key))["token"]
    await plane.call("POST", f"/api/accounts/{person.account_id}/sign-out", key=person.key)
    for key in (person.key, second.key, token):
        await plane.becomes(401, key)
    await plane.call("GET", "/api/me", key=second.key, status=401)
    await plane.becomes(LET_IN, (await plane.key(person.account_id)).key)


async def test_a_disabled_account_is_out_until_it_is_enabled(plane: Plane) -> None:
    person = await plane.person()
    await plane.call("PATCH", f"/api/accounts/{person.account_id}", {"disabled": True})
    await plane.becomes(401, person.key)
    await plane.call("GET", "/api/me", key=person.key, status=401)
    await plane.call("POST", f"/api/accounts/{person.account_id}/keys", {}, status=400)
    await plane.call("PATCH", f"/api/accounts/{person.account_id}", {"disabled": False})
    await plane.becomes(LET_IN, person.key)


async def test_rotating_a_key_ends_the_old_one(plane: Plane) -> None:
    person = await plane.person()
    rotated = await plane.call("POST", f"/api/keys/{person.key_id}/rotate", key=person.key)
    await plane.becomes(401, person.key)
    await plane.becomes(LET_IN, rotated["key"])
    await plane.call("POST", f"/api/keys/{person.key_id}/rotate", status=400)
    keys = await plane.call("GET", f"/api/accounts/{person.account_id}/keys", key=rotated["key"])
    assert [row["revoked_at"] is None for row in keys] == [False, True]
    assert keys[1]["scopes"] == ["inference", "manage"]


async def test_scopes_are_kept_apart(plane: Plane) -> None:
    caller, manager = await plane.person("inference"), await plane.person("manage")
    await plane.call("POST", f"/api/accounts/{caller.account_id}/keys", {}, key=caller.key, status=403)
    await plane.becomes(403, manager.key)
    await plane.call("GET", f"/api/accounts/{manager.account_id}/keys", key=manager.key)
    await plane.call("POST", f"/api/accounts/{manager.account_id}/keys", {"scopes": ["root"]}, status=400)


async def test_lists_show_last_use_and_never_a_key(plane: Plane) -> None:
    person = await plane.person()
    assert (await plane.ask(person.key)).status_code == 200

    async def used() -> dict[str, Any] | None:
        (row,) = await plane.call("GET", f"/api/accounts/{person.account_id}/keys", key=person.key)
        return row if row["last_used_at"] else None

    row = await until(used, what="last use")
    assert len(row["fingerprint"]) == 16
    assert person.key.split(".")[2] not in json.dumps(row)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic x", "Bearer nonsense", "Bearer x" * 2_000])
async def test_the_management_api_needs_a_credential(plane: Plane, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    response = await plane.gateway.http.get(f"{plane.gateway.stack.console_url}/api/me", headers=headers)
    assert response.status_code == 401
    assert "Authorization" in response.json()["detail"]


async def test_bad_management_input_is_refused_in_words(plane: Plane) -> None:
    url = f"{plane.gateway.stack.console_url}/api/accounts"
    auth = {"Authorization": f"Bearer {plane.gateway.stack.operator_token()}"}
    bodies: tuple[tuple[bytes, int], ...] = (
        (b"{", 400),
        (b"[]", 400),
        (b"{}", 400),
        (b'{"email":"x"}', 400),
        (b'{"email":"a@b.c","admin":true}', 400),
        (b'{"email":"' + b"x" * 70_000 + b'"}', 413),
    )
    for content, status in bodies:
        response = await plane.gateway.http.post(
            url, content=content, headers=auth | {"Content-Type": "application/json"}
        )
        assert response.status_code == status, response.text
        assert response.json()["status"] == status
    for limit in ("-1", "0", "1001", "many"):
        await plane.call("GET", f"/api/audit?limit={limit}", status=400)
    person = await plane.person()
    named = {"name": "a\0b"}
    await plane.call("POST", "/api/organizations", named, key=person.key, status=400)
    for path, body, words in (
        ("/api/accounts", {"email": "nope"}, "email: it must be an e-mail address"),
        (f"/api/accounts/{person.account_id}/credit", {"usd": "1e3"}, "usd: it must be an amount of dollars"),
        ("/api/sign-in-links", {"account": "nope"}, "account: it must be an ID as lists show it"),
    ):
        assert words in (await plane.call("POST", path, body, status=400))["detail"]
    missing = await plane.gateway.http.get(f"{plane.gateway.stack.console_url}/api/nowhere", headers=auth)
    assert (missing.status_code, missing.json()["status"]) == (404, 404)


# Signing keys.


async def test_signing_keys_rotate_with_overlap_and_retire(plane: Plane) -> None:
    person = await plane.person()
    old = jwt.get_unverified_header(person.key)["kid"]
    new = (await plane.call("POST", "/api/signing-keys/rotate"))["kid"]
    fresh = await plane.key(person.account_id)
    assert jwt.get_unverified_header(fresh.key)["kid"] == new != old
    for key in (person.key, fresh.key):
        await plane.becomes(LET_IN, key)
    published = (await plane.gateway.http.get(f"{plane.gateway.stack.console_url}/.well-known/jwks.json")).json()
    keys = {key.key_id: key for key in jwt.PyJWKSet.from_dict(published).keys}
    assert {old, new} <= set(keys)
    assert jwt.decode(fresh.key, keys[new], algorithms=["EdDSA"], audience="sluice-gateway")["sub"] == person.account_id
    assert all(set(key) == {"kty", "crv", "use", "alg", "kid", "x"} for key in published["keys"])
    await plane.call("POST", f"/api/signing-keys/{new}/retire", {}, status=409)
    await plane.call("POST", f"/api/signing-keys/{old}/retire", {})
    await plane.becomes(401, person.key)
    await plane.becomes(LET_IN, fresh.key)
    await plane.call("GET", "/api/me", key=person.key, status=401)
    plane.gateway.key = (await plane.key(plane.gateway.account_id)).key


# The audit trail.


async def test_every_change_is_in_the_audit_trail_for_good(plane: Plane) -> None:
    owner = await plane.person()
    organization = (await plane.call("POST", "/api/organizations", {"name": "A"}, key=owner.key))["id"]
    await plane.call("PUT", f"/api/organizations/{organization}/policy", {"model_allow": ["a/b"]}, key=owner.key)
    trail = await plane.call("GET", f"/api/organizations/{organization}/audit", key=owner.key)
    assert [row["action"] for row in trail] == ["policy.set", "member.set", "organization.create"]
    assert {(row["actor"], row["origin"]) for row in trail} == {(owner.account_id, "127.0.0.1")}
    whole = await plane.call("GET", "/api/audit?limit=1000")
    assert {"account.create", "key.create", "signing_key.rotate", "account.sign_out_everywhere"} <= {
        row["action"] for row in whole
    }
    assert owner.key.split(".")[2] not in json.dumps(whole)
    console = await asyncpg.connect(plane.gateway.stack.postgres.url("console"))
    try:
        for change in ("update control.audit set actor = 'x'", "delete from control.audit", "truncate control.audit"):
            with pytest.raises(asyncpg.RaiseError, match="never changed"):
                await console.execute(change)
    finally:
        await console.close()


# Anything in any order.


class Model:
    """What should be true, as plainly as it can be said."""

    def __init__(self) -> None:
        self.accounts: dict[str, bool] = {}
        self.keys: dict[str, tuple[str, str, bool]] = {}
        """Key by ID: account, token, works."""
        self.members: dict[tuple[str, str], str] = {}
        self.organizations: set[str] = set()

    def lets_in(self, key_id: str, organization: str | None) -> int:
        account, _token, works = self.keys[key_id]
        if not works or not self.accounts[account]:
            return 401
        if organization is not None and (organization, account) not in self.members:
            return 403
        return LET_IN

    def owners(self, organization: str) -> set[str]:
        return {account for (org, account), role in self.members.items() if org == organization and role == "owner"}


@pytest.mark.parametrize("seed", [11, 23, 47])
async def test_random_changes_and_the_doors_agree_with_a_plain_model(plane: Plane, seed: int) -> None:
    chance, model = random.Random(seed), Model()
    for _ in range(3):
        person = await plane.person()
        model.accounts[person.account_id] = True
        model.keys[person.key_id] = (person.account_id, person.key, True)
    for _ in range(60):
        await _random_change(plane, model, chance)
    for key_id, (_account, token, _works) in model.keys.items():
        for organization in [None, *model.organizations]:
            await plane.becomes(model.lets_in(key_id, organization), token, organization)


async def _random_change(plane: Plane, model: Model, chance: random.Random) -> None:
    account = chance.choice(list(model.accounts))
    move = chance.choice(
        ["key", "revoke", "disable", "enable", "sign-out", "org", "member", "member", "leave", "delete"]
    )
    if move == "key" and model.accounts[account]:
        issued = await plane.key(account)
        model.keys[issued.key_id] = (account, issued.key, True)
    elif move == "revoke":
        key_id = chance.choice(list(model.keys))
        await plane.call("DELETE", f"/api/keys/{key_id}")
        model.keys[key_id] = (*model.keys[key_id][:2], False)
    elif move in ("disable", "enable"):
        await plane.call("PATCH", f"/api/accounts/{account}", {"disabled": move == "disable"})
        model.accounts[account] = move == "enable"
    elif move == "sign-out":
        await plane.call("POST", f"/api/accounts/{account}/sign-out")
        for key_id, (owner, token, _works) in list(model.keys.items()):
            if owner == account:
                model.keys[key_id] = (owner, token, False)
    elif move == "org" and len(model.organizations) < 3:
        created = await plane.call("POST", "/api/organizations", {"name": "X", "owner": account})
        model.organizations.add(created["id"])
        model.members[created["id"], account] = "owner"
    elif model.organizations:
        await _random_membership(plane, model, chance, account, move)


async def _random_membership(plane: Plane, model: Model, chance: random.Random, account: str, move: str) -> None:
    organization = chance.choice(sorted(model.organizations))
    path = f"/api/organizations/{organization}"
    last = model.owners(organization) == {account}
    if move == "member":
        role = chance.choice(["owner", "billing_manager", "member"])
        refused = last and role != "owner"
        body = {"role": role}
        await plane.call("PUT", f"{path}/members/{account}", body, status=409 if refused else 200)
        if not refused:
            model.members[organization, account] = role
    elif move == "leave":
        there = (organization, account) in model.members
        status = 409 if last else 200 if there else 404
        await plane.call("DELETE", f"{path}/members/{account}", status=status)
        if status == 200:
            del model.members[organization, account]
    elif move == "delete" and chance.random() < 0.3:
        await plane.call("DELETE", path)
        model.organizations.discard(organization)
        model.members = {pair: role for pair, role in model.members.items() if pair[0] != organization}


# Answers, whichever ingress is asked.


async def test_two_ingresses_at_once_run_a_key_once_and_serve_both(plane: Plane) -> None:
    person, body = await plane.person(), chat("[[stub chunks=20 gap_ms=20]]", stream=True)
    headers = {"Authorization": f"Bearer {person.key}"}
    for key in [secrets.token_hex(8) for _ in range(5)]:
        keyed = headers | {"Idempotency-Key": key}
        asked = [plane.gateway.http.post(f"{door}/chat/completions", json=body, headers=keyed) for door in plane.doors]
        one, other = await asyncio.gather(*asked)
        assert (one.status_code, one.content) == (other.status_code, other.content) == (200, one.content)
        assert one.headers["x-request-id"] == other.headers["x-request-id"]
        assert one.headers["x-sluice-stream"] == other.headers["x-sluice-stream"]
        assert sorted("idempotent-replayed" in answer.headers for answer in (one, other)) == [False, True]
        entry = await plane.gateway.entry(one.headers["x-request-id"])
        assert (entry["outcome"], entry["output_tokens"]) == ("completed", 20)
    count = "select count(*) from ledger.usage where account_id = $1"
    assert await plane.gateway.database.fetchval(count, person.account_id) == 5


async def test_a_batch_of_node_s_sdk_is_made_at_one_ingress_and_read_at_another(plane: Plane, tmp_path: Path) -> None:
    person, lines = await plane.person(), 40
    program = shutil.copy(Path(__file__).with_name("batches") / "batch.mjs", tmp_path)
    (tmp_path / "node_modules").symlink_to(await installed("openai-node") / "node_modules")
    environment = {"SLUICE_URLS": " ".join(plane.doors), "SLUICE_KEY": person.key, "LINES": str(lines)}
    code, out, err = await run(str(NODE), str(program), folder=tmp_path, environment=environment, within_s=120)
    assert code == 0, err[-3000:]
    found = json.loads(out)
    assert found["names"] == [f"line-{number}" for number in range(lines)]
    assert found["texts"] == [True] * lines
    assert found["counts"] == {"total": lines, "completed": lines, "failed": 0}
    assert (found["metadata"], found["listed"], found["seen"][-1]) == ({"night": "1"}, True, "completed")
    for request_id in found["requests"]:
        await plane.gateway.entry(request_id)
    count = "select count(*) from ledger.usage where account_id = $1"
    assert await plane.gateway.database.fetchval(count, person.account_id) == lines
    pages = [await plane.gateway.metrics(f"ingress{suffix}") for suffix in ("", "-2")]
    completed = [re.search(r'sluice_batch_lines_total\{sluice_outcome="completed"\} (\d+)', page) for page in pages]
    assert sum(int(one[1]) for one in completed if one) == lines
    assert all('sluice_batches{sluice_batch_status="in_progress"} 0' in page for page in pages)
    assert sum('sluice_batches_ended_total{sluice_batch_status="completed"} 1' in page for page in pages) == 1


async def test_a_stream_goes_on_at_another_ingress(plane: Plane) -> None:
    person = await plane.person()
    headers = {"Authorization": f"Bearer {person.key}"}
    first, second = plane.doors
    body = chat("[[stub chunks=30 gap_ms=20]]", stream=True)
    async with plane.gateway.http.stream("POST", f"{first}/chat/completions", json=body, headers=headers) as answer:
        url = f"{second}/streams/{answer.headers['x-sluice-stream']}"
        reading = asyncio.create_task(plane.gateway.http.get(url, headers=headers))
        whole = await answer.aread()
    assert (await reading).content == whole
