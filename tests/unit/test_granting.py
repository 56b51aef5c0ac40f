"""The vault's grants and epochs: for each request a key of its provider, that only a relay can open."""

from collections.abc import Sequence

import pytest

from contracts.control import CredentialChanged, RelayAnnounced
from contracts.requests import Caller, RequestAccepted
from libs.config.catalog import Catalog
from libs.config.providers import Model, Provider
from libs.sealing.credentials import at_rest, credential_id
from libs.sealing.envelope import KeyRing, LocalKeys
from libs.sealing.grants import Epoch, PartitionKeys, RelayKeyPair, open_grant
from libs.sealing.hybrid import SealError
from libs.sealing.secret import Secret
from services.key_vault.core.book import Credential, CredentialBook
from services.key_vault.core.epochs import EPOCH_MS, KEPT_AFTER_MS, Epochs
from services.key_vault.core.granting import Granting
from services.key_vault.core.own_keys import own_keys
from tests.unit.records import NOW_MS, Config, accepted, request_id

CATALOG = Catalog(
    Config(
        providers={
            "stub": Provider(base_url="http://x", api_key="env:STUB_KEY"),
            "local": Provider(base_url="http://y"),
            "unset": Provider(base_url="http://z", api_key="env:UNSET_KEY"),
        },
        models=[
            Model(id=f"{provider}/echo", provider=provider, upstream_model="e")
            for provider in ("stub", "local", "unset")
        ]
        + [Model(id="stub/echo:free", provider="stub", upstream_model="e")],
    )
)
KEYS = {"STUB_KEY": "sk-canary", "OTHER": "sk-other", "UNSET_KEY": ""}
EPOCH = Epoch.generate("e1", lambda _: 0)
RING = KeyRing(LocalKeys({"v1": b"1" * 32}))
BOOK = CredentialBook()
GRANTING = Granting(KEYS, BOOK, RING)


def test_only_keys_of_configured_providers_are_taken_from_the_environment() -> None:
    found = {name: own_keys(provider, KEYS) for name, provider in CATALOG.providers.items()}
    revealed = {name: [key.secret.reveal() for key in keys] for name, keys in found.items()}
    assert revealed == {"stub": ["sk-canary"], "local": [""], "unset": []}


def test_a_catalog_cannot_have_the_vault_s_own_secrets_sent_to_an_address() -> None:
    for name in ("SLUICE_VAULT_KEY_ENCRYPTION_KEYS", "SLUICE_DATABASE_URL", "SLUICE_RECORD_KEY"):
        with pytest.raises(ValueError, match="a variable of Sluice itself"):
            Provider(base_url="http://x", api_key=f"env:{name}")


def test_nothing_is_granted_under_a_catalog_that_is_not_known() -> None:
    granted = GRANTING.grant(accepted(), None, EPOCH)
    assert granted.grants == []
    assert granted.refusal is not None
    assert granted.refusal.status == 503


def test_a_grant_is_sealed_for_its_request() -> None:
    granted = GRANTING.grant(accepted(), CATALOG, EPOCH)
    (sealed,) = granted.grants
    assert granted.refusal is None
    assert "canary" not in granted.model_dump_json()
    opened = open_grant(sealed, EPOCH.key(0), request_id=accepted().request_id, now_ms=NOW_MS)
    assert opened.reveal() == "sk-canary"
    assert sealed.expires_at_ms == accepted().deadline_ms


def test_a_provider_without_a_key_is_refused_in_words() -> None:
    granted = GRANTING.grant(accepted(model="unset/echo"), CATALOG, EPOCH)
    assert granted.refusal is not None
    assert "UNSET_KEY" in granted.refusal.message
    assert granted.grants == []


def test_an_unknown_model_is_policy_s_affair() -> None:
    granted = GRANTING.grant(accepted(model="no/such"), CATALOG, EPOCH)
    assert (granted.refusal, granted.grants) == (None, [])


def _stored(owner: str, key: str, bound_to: str | None = None) -> Credential:
    about = CredentialChanged(
        credential_id=credential_id(owner, "stub"),
        provider_id="stub",
        owner=owner,
        tail="…",
        submitted_by="a",
        created_at_ms=NOW_MS,
        updated_at_ms=NOW_MS,
    )
    return Credential(about, RING.seal(key.encode(), at_rest(bound_to or owner, "stub")))


def test_one_s_own_key_is_used_by_itself_the_organization_s_in_its_context() -> None:
    book = CredentialBook()
    granting = Granting(KEYS, book, RING)
    in_organization = accepted(caller=Caller(account_id="a", organization_id="o"))
    free = accepted(model="stub/echo:free")

    def granted(request: RequestAccepted) -> tuple[str, bool]:
        (sealed,) = granting.grant(request, CATALOG, EPOCH).grants
        opened = open_grant(sealed, EPOCH.key(0), request_id=request.request_id, now_ms=NOW_MS)
        return opened.reveal(), sealed.byok

    assert granted(accepted()) == ("sk-canary", False)
    book.put([_stored("acct:a", "sk-mine"), _stored("acct:b", "sk-another-s")])
    assert granted(accepted()) == ("sk-mine", True)
    assert granted(in_organization) == ("sk-canary", False)
    book.put([_stored("org:o", "sk-ours")])
    assert granted(in_organization) == ("sk-ours", True)
    assert granted(accepted()) == ("sk-mine", True)
    assert granted(free) == ("sk-canary", False)
    # Whoever writes requests cannot say that a paid model is free.
    forged = RequestAccepted.decode(accepted().encode()[:-1] + b',"free":true}', request_id(1))
    assert granted(forged) == ("sk-mine", True)
    book.remove("acct:a/stub")
    assert granted(accepted()) == ("sk-canary", False)


def test_a_row_copied_to_another_owner_opens_for_nobody_and_the_gateway_s_key_is_not_tried() -> None:
    book = CredentialBook()
    book.put([_stored("acct:a", "sk-stolen", bound_to="acct:b")])
    granted = Granting(KEYS, book, RING).grant(accepted(), CATALOG, EPOCH)
    assert granted.grants == []
    assert granted.refusal is not None
    assert "Your own key" in granted.refusal.message


PARTITIONS = 4


def _partition_of(request_id: str) -> int:
    return int(request_id[-4:]) % PARTITIONS


def _announced(
    relay_id: str, pair: RelayKeyPair, lives_ms: int = 9 * EPOCH_MS, partitions: Sequence[int] = ()
) -> RelayAnnounced:
    return RelayAnnounced(
        relay_id=relay_id,
        public_key=pair.public,
        partitions=list(partitions),
        announced_at_ms=NOW_MS,
        expires_at_ms=NOW_MS + lives_ms,
    )


def _opened(epochs: Epochs, pair: RelayKeyPair, relay_id: str, epoch_id: str, now_ms: int = NOW_MS) -> PartitionKeys:
    record = epochs.sealed(now_ms)[f"{epoch_id}/{relay_id}"]
    about = {"epoch_id": epoch_id, "relay_id": relay_id, "partitions": record.partitions}
    return pair.open_keys(record.sealed_key, **about)  # type: ignore[arg-type]


def test_a_relay_s_memory_opens_the_grants_of_its_own_partitions_alone() -> None:
    epochs, pairs = Epochs(NOW_MS, _partition_of, PARTITIONS), {"a": RelayKeyPair(), "b": RelayKeyPair()}
    owned = {"a": [0, 2], "b": [1, 3]}
    for relay_id, pair in pairs.items():
        epochs.relay_changed(relay_id, _announced(relay_id, pair, partitions=owned[relay_id]), NOW_MS)
    keys = {relay_id: _opened(epochs, pair, relay_id, epochs.current.epoch_id) for relay_id, pair in pairs.items()}
    assert {relay_id: [*one.grants] for relay_id, one in keys.items()} == owned
    assert keys["a"].answers == keys["b"].answers, "cached answers are for all relays"
    for number in range(8):
        name = request_id(number)
        grant = epochs.current.seal(Secret("sk"), request_id=name, provider_id="p", expires_at_ms=NOW_MS + 1)
        for relay_id, one in keys.items():
            mine = number % PARTITIONS in owned[relay_id]
            for key in (one.answers, *one.grants.values()):
                try:
                    assert open_grant(grant, key, request_id=name, now_ms=NOW_MS).reveal() == "sk"
                    assert mine
                    break
                except SealError:
                    continue
            else:
                assert not mine


def test_who_takes_a_partition_over_has_its_keys_of_the_former_epoch_too() -> None:
    epochs, a, b = Epochs(NOW_MS, _partition_of, PARTITIONS), RelayKeyPair(), RelayKeyPair()
    epochs.relay_changed("a", _announced("a", a, partitions=[0, 1, 2, 3]), NOW_MS)
    epochs.relay_changed("b", _announced("b", b), NOW_MS)
    former = epochs.current
    later = NOW_MS + EPOCH_MS
    epochs.sealed(later)
    assert _opened(epochs, b, "b", former.epoch_id, later).grants == {}
    epochs.relay_changed("a", None, later)
    epochs.relay_changed("b", _announced("b", b, partitions=[3, 0, 0, PARTITIONS, 99]), later)
    for epoch in (former, epochs.current):
        assert _opened(epochs, b, "b", epoch.epoch_id, later).grants == {0: epoch.key(0), 3: epoch.key(3)}


def test_every_relay_gets_every_epoch_and_old_ones_are_forgotten() -> None:
    epochs, pairs = Epochs(NOW_MS, _partition_of, PARTITIONS), {"a": RelayKeyPair(), "b": RelayKeyPair()}
    for relay_id, pair in pairs.items():
        epochs.relay_changed(relay_id, _announced(relay_id, pair), NOW_MS)
    first = epochs.current
    for now_ms, current in ((NOW_MS, 2), (NOW_MS + EPOCH_MS, 4), (NOW_MS + EPOCH_MS + KEPT_AFTER_MS, 4)):
        sealed = epochs.sealed(now_ms)
        assert len(sealed) == current
        for record in sealed.values():
            if record.epoch_id == epochs.current.epoch_id:
                keys = _opened(epochs, pairs[record.relay_id], record.relay_id, record.epoch_id, now_ms)
                assert keys.grants == {}
    assert first.epoch_id not in {
        record.epoch_id for record in epochs.sealed(NOW_MS + EPOCH_MS + KEPT_AFTER_MS).values()
    }
    epochs.relay_changed("a", None, NOW_MS)
    epochs.relay_changed("c", _announced("c", RelayKeyPair()).model_copy(update={"public_key": "bm9uZQ=="}), NOW_MS)
    assert "c" not in {record.relay_id for record in epochs.sealed(NOW_MS + 3 * EPOCH_MS).values()}


def test_a_relay_that_withdrew_or_whose_time_is_over_is_given_no_key() -> None:
    epochs = Epochs(NOW_MS, _partition_of, PARTITIONS)
    epochs.relay_changed("late", _announced("late", RelayKeyPair(), lives_ms=0), NOW_MS)
    epochs.relay_changed("brief", _announced("brief", RelayKeyPair(), lives_ms=EPOCH_MS), NOW_MS)
    epochs.relay_changed("leaving", _announced("leaving", RelayKeyPair()), NOW_MS)
    assert {record.relay_id for record in epochs.sealed(NOW_MS).values()} == {"brief", "leaving"}
    epochs.relay_changed("leaving", None, NOW_MS)
    assert {record.relay_id for record in epochs.sealed(NOW_MS).values()} == {"brief"}
    epochs.sealed(NOW_MS + EPOCH_MS)
    assert [
        record for record in epochs.sealed(NOW_MS + EPOCH_MS).values() if record.epoch_id == epochs.current.epoch_id
    ] == []
