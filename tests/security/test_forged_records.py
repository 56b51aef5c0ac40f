"""Write access to one topic: what is not signed by its service is not believed, and what was removed comes back."""

import base64
import contextlib
import secrets
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from uuid_utils import uuid7

from contracts import topics
from contracts.clock import now_ms
from contracts.control import (
    EpochKeySealed,
    MembershipChanged,
    PolicySet,
    RelayAnnounced,
    SigningKeyPublished,
    VaultAnnounced,
)
from contracts.credit import CreditKind, CreditOrdered
from contracts.headers import VERSION, header
from contracts.record import Record
from contracts.topic import Topic
from contracts.vault import CredentialSubmitted
from libs.bus.reading import read_to_end
from libs.bus.records import PoisonError, decode
from libs.bus.signing import Signer, Trust
from libs.identity.tokens import mint, public_bytes
from libs.sealing.credentials import credential_id, open_credential, seal_credential
from libs.sealing.grants import Epoch, RelayKeyPair
from libs.sealing.hybrid import KeyPair, SealError
from libs.sealing.secret import Secret
from tests.e2e.plane import LET_IN, Person, Plane
from tests.security.forging import forge, on_the_log, put, refused
from tests.stacks import Gateway, until

FORGER = Signer(secrets.token_bytes(32))
HOUR_MS = 3_600_000


@pytest_asyncio.fixture(loop_scope="session")
async def plane(gateway: Gateway) -> Plane:
    return Plane(gateway, 1)


async def _attack(plane: Plane, topic: Topic[Any], record: Record, *readers: str) -> None:
    """Unsigned, signed by a stranger, and signed by a service that may say other things; none is believed."""
    other = plane.gateway.stack.signer("relay" if topic.signed_by != "relay" else "console")
    for signer in (None, FORGER, other):
        await forge(plane.gateway, topic, record, signer)
    for reader in readers:
        reasons = await refused(plane.gateway, topic, topic.key(record), reader, times=3)
        assert sum("not signed" in reason for reason in reasons) >= 1
        assert sum(f"not that of {topic.signed_by}" in reason for reason in reasons) >= 2


async def test_a_stranger_s_relay_is_given_no_epoch_key(plane: Plane) -> None:
    relay = RelayKeyPair()
    announced = RelayAnnounced(
        relay_id=f"relay-{secrets.token_hex(8)}",
        public_key=relay.public,
        announced_at_ms=now_ms(),
        expires_at_ms=now_ms() + HOUR_MS,
    )
    await _attack(plane, topics.RELAYS, announced, "key-vault")
    # A relay that starts now is given its key, after the stranger would have been.
    before = await _sealed_for(plane)
    plane.gateway.stack.children["relay"].kill()

    async def sealed() -> set[str] | None:
        return await _sealed_for(plane) - before or None

    assert announced.relay_id not in await until(sealed, what="an epoch key for the new relay")
    assert announced.relay_id not in await _sealed_for(plane)


async def _sealed_for(plane: Plane) -> set[str]:
    return {record.relay_id for record in await _records(plane, topics.GRANT_KEYS)}


async def _records(plane: Plane, topic: Topic[Any]) -> list[Any]:
    """What the topic's own service said on it."""
    assert topic.signed_by
    trust = Trust({topic.signed_by: [plane.gateway.stack.signer(topic.signed_by).public_key]})
    found = []
    async for raw in read_to_end(plane.gateway.stack.bus, topic):
        with contextlib.suppress(PoisonError):
            found.append(decode(raw, trust).record)
    return found


async def test_a_stranger_s_signing_key_mints_no_tokens(plane: Plane) -> None:
    victim, kid, key = await plane.person(), secrets.token_hex(8), Ed25519PrivateKey.generate()
    public = base64.b64encode(public_bytes(key)).decode()
    await _attack(plane, topics.SIGNING_KEYS, SigningKeyPublished(kid=kid, public_key=public), "ingress")
    now_s = int(datetime.now(UTC).timestamp())
    token = mint(key, kid=kid, issued_at_s=now_s, account_id=victim.account_id, jti="x", ttl_s=600, token_epoch=0)
    assert await plane.knock(plane.doors[0], token) == 401
    assert await plane.knock(plane.doors[0], victim.key) == LET_IN


async def _organization(plane: Plane, person: Person) -> str:
    made: dict[str, str] = await plane.call("POST", "/api/organizations", {"name": "O"}, key=person.key)
    return made["id"]


async def test_an_outsider_does_not_become_a_member(plane: Plane) -> None:
    owner, outsider = await plane.person(), await plane.person()
    organization = await _organization(plane, owner)
    forged = MembershipChanged(
        membership_id=f"{organization}/{outsider.account_id}",
        organization_id=organization,
        account_id=outsider.account_id,
        role="owner",
    )
    await _attack(plane, topics.MEMBERSHIPS, forged, "ingress")
    assert await plane.knock(plane.doors[0], outsider.key, organization) == 403


async def test_a_former_member_does_not_return_by_his_old_record(plane: Plane) -> None:
    owner, member = await plane.person(), await plane.person()
    organization = await _organization(plane, owner)
    path = f"/api/organizations/{organization}/members"
    await plane.call("PUT", f"{path}/{member.account_id}", {"role": "member"})
    await plane.becomes(LET_IN, member.key, organization)
    key = f"{organization}/{member.account_id}"
    (record,) = await on_the_log(plane.gateway, topics.MEMBERSHIPS, key)
    await plane.call("DELETE", f"{path}/{member.account_id}", key=owner.key)
    await plane.becomes(403, member.key, organization)
    await put(plane.gateway, topics.MEMBERSHIPS, record.key, record.value, list(record.headers))
    # What comes after it on the topic has been received: so has the old record.
    other = await plane.person()
    await _organization(plane, other)
    await plane.becomes(403, member.key, organization)
    await plane.gateway.stack.restart("ingress")
    await plane.becomes(403, member.key, organization)


async def test_credit_is_not_made_of_nothing(plane: Plane) -> None:
    person = await plane.person()
    owner = f"acct:{person.account_id}"
    order = CreditOrdered(
        entry_id=str(uuid7()),
        owner=owner,
        kind=CreditKind.TOP_UP,
        amount_microdollars=5_000_000,
        ordered_by="operator",
        ordered_at_ms=now_ms(),
    )
    await _attack(plane, topics.ORDERS, order, "metering")
    assert not await plane.gateway.database.fetchval(
        "select count(*) from ledger.entries where credit_account = $1", f"credit:{owner}"
    )


async def test_users_keys_are_sealed_for_the_true_vault(plane: Plane) -> None:
    person, pair = await plane.person(), KeyPair.generate()
    await _attack(plane, topics.VAULTS, VaultAnnounced(vault_id="a", public_key=pair.public), "console", "key-vault")
    await plane.call(
        "PUT",
        f"/api/accounts/{person.account_id}/provider-keys/stub",
        {"key": "sk-stub-own-0123456789"},
        key=person.key,
    )
    owner = f"acct:{person.account_id}"
    (command,) = [
        record
        for record in await _records(plane, topics.VAULT_COMMANDS)
        if isinstance(record, CredentialSubmitted) and record.owner == owner
    ]
    with pytest.raises(SealError):
        open_credential(command.sealed_key, pair, owner=owner, provider_id="stub")


async def test_nobody_puts_his_own_key_under_another_s_requests(plane: Plane) -> None:
    person = await plane.person()
    owner = f"acct:{person.account_id}"
    (vault, *_) = await _records(plane, topics.VAULTS)
    sealed = seal_credential(Secret("sk-of-the-forger-123456"), vault.public_key, owner=owner, provider_id="stub")
    command = CredentialSubmitted(
        credential_id=credential_id(owner, "stub"),
        provider_id="stub",
        owner=owner,
        sealed_key=sealed,
        submitted_by="forger",
        submitted_at_ms=now_ms(),
    )
    await _attack(plane, topics.VAULT_COMMANDS, command, "key-vault-commands")
    assert not await plane.call("GET", f"/api/accounts/{person.account_id}/provider-keys", key=person.key)


async def test_relays_take_no_stranger_s_epoch_key(plane: Plane) -> None:
    """Who could bring one in could have a victim's prompts run under a key of his, and read them there."""
    (relay, *_) = await _records(plane, topics.RELAYS)
    epoch = secrets.token_hex(8)
    sealed = EpochKeySealed(
        sealed_id=f"{epoch}/{relay.relay_id}",
        epoch_id=epoch,
        relay_id=relay.relay_id,
        partitions=relay.partitions,
        sealed_key=Epoch.generate(epoch, lambda _: 0).seal_keys(
            relay.public_key, relay_id=relay.relay_id, partitions=relay.partitions
        ),
        expires_at_ms=now_ms() + HOUR_MS,
    )
    await _attack(plane, topics.GRANT_KEYS, sealed, "relay")


async def test_a_revocation_that_was_removed_from_the_log_comes_back(plane: Plane) -> None:
    person = await plane.person()
    await plane.call("DELETE", f"/api/keys/{person.key_id}")
    await plane.becomes(401, person.key)
    for value in (None, b"{}"):
        await put(plane.gateway, topics.REVOCATIONS, person.key_id.encode(), value, [])

    async def newest_is_signed() -> bool | None:
        raw = (await on_the_log(plane.gateway, topics.REVOCATIONS, person.key_id))[-1]
        return (raw.value not in (None, b"{}") and header(raw.headers, VERSION) is not None) or None

    await until(newest_is_signed, what="the revocation, published anew")
    await plane.gateway.stack.restart("ingress")
    await plane.becomes(401, person.key)


async def test_a_policy_that_was_overwritten_holds_and_comes_back(plane: Plane) -> None:
    owner = await plane.person()
    organization = await _organization(plane, owner)
    await plane.call("PUT", f"/api/organizations/{organization}/policy", {"model_allow": ["no/such"]}, key=owner.key)

    async def refuses() -> bool | None:
        return (await plane.ask(owner.key, organization_id=organization)).status_code == 403 or None

    await until(refuses, what="the policy")
    forged = PolicySet(organization_id=organization, version=99)
    await _attack(plane, topics.POLICIES, forged, "policy", "console")
    assert await refuses()

    async def newest_is_signed() -> bool | None:
        raw = (await on_the_log(plane.gateway, topics.POLICIES, organization))[-1]
        return b"no/such" in (raw.value or b"") or None

    await until(newest_is_signed, what="the policy, published anew")
