"""The vault's grants and epochs: for each request a key of its provider, that only a relay can open."""

from contracts.control import RelayAnnounced
from libs.config.catalog import Catalog
from libs.config.gateway import GatewayConfig, Model, Provider
from libs.sealing.grants import EpochKey, RelayKeyPair, open_grant
from services.key_vault.epochs import EPOCH_MS, KEPT_AFTER_MS, Epochs
from services.key_vault.granting import grant, own_keys
from tests.unit.records import NOW_MS, accepted

CATALOG = Catalog(
    GatewayConfig(
        providers={
            "stub": Provider(base_url="http://x", api_key="env:STUB_KEY"),
            "local": Provider(base_url="http://y"),
            "unset": Provider(base_url="http://z", api_key="env:UNSET_KEY"),
        },
        models=[
            Model(id=f"{provider}/echo", provider=provider, upstream_model="e")
            for provider in ("stub", "local", "unset")
        ],
    )
)
KEYS = own_keys(CATALOG, {"STUB_KEY": "sk-canary", "OTHER": "sk-other", "UNSET_KEY": ""})
EPOCH = EpochKey.generate("e1")


def test_only_keys_of_configured_providers_are_taken_from_the_environment() -> None:
    assert {provider: key.reveal() for provider, key in KEYS.items()} == {"stub": "sk-canary", "local": ""}


def test_a_grant_is_sealed_for_its_request() -> None:
    granted = grant(accepted(), CATALOG, KEYS, EPOCH)
    (sealed,) = granted.grants
    assert granted.refusal is None
    assert "canary" not in granted.model_dump_json()
    opened = open_grant(sealed, EPOCH.key, request_id=accepted().request_id, now_ms=NOW_MS)
    assert opened.reveal() == "sk-canary"
    assert sealed.expires_at_ms == accepted().deadline_ms


def test_a_provider_without_a_key_is_refused_in_words() -> None:
    granted = grant(accepted(model="unset/echo"), CATALOG, KEYS, EPOCH)
    assert granted.refusal is not None
    assert "UNSET_KEY" in granted.refusal.message
    assert granted.grants == []


def test_an_unknown_model_is_policy_s_affair() -> None:
    granted = grant(accepted(model="no/such"), CATALOG, KEYS, EPOCH)
    assert (granted.refusal, granted.grants) == (None, [])


def _announced(relay_id: str, pair: RelayKeyPair) -> RelayAnnounced:
    return RelayAnnounced(
        relay_id=relay_id, public_key=pair.public, announced_at_ms=NOW_MS, expires_at_ms=NOW_MS + EPOCH_MS
    )


def test_every_relay_gets_every_epoch_and_old_ones_are_forgotten() -> None:
    epochs, pairs = Epochs(NOW_MS), {"a": RelayKeyPair(), "b": RelayKeyPair()}
    for relay_id, pair in pairs.items():
        epochs.relay_changed(relay_id, _announced(relay_id, pair))
    first = epochs.current
    for now_ms, current in ((NOW_MS, 2), (NOW_MS + EPOCH_MS, 4), (NOW_MS + EPOCH_MS + KEPT_AFTER_MS, 4)):
        sealed = epochs.sealed(now_ms)
        assert len(sealed) == current
        for record in sealed.values():
            if record.epoch_id == epochs.current.epoch_id:
                key = pairs[record.relay_id].open_epoch_key(
                    record.sealed_key, epoch_id=record.epoch_id, relay_id=record.relay_id
                )
                assert key == epochs.current.key
    assert first.epoch_id not in {
        record.epoch_id for record in epochs.sealed(NOW_MS + EPOCH_MS + KEPT_AFTER_MS).values()
    }
    epochs.relay_changed("a", None)
    epochs.relay_changed("c", _announced("c", RelayKeyPair()).model_copy(update={"public_key": "bm9uZQ=="}))
    assert "c" not in {record.relay_id for record in epochs.sealed(NOW_MS + 3 * EPOCH_MS).values()}
