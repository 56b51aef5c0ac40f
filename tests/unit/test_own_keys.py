"""Several keys of a provider: who uses which, which rests, and what follows from a failure."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.outcomes import OutcomesCounted
from contracts.record import Refusal
from contracts.routes import Target
from libs.chat.providers.errors import provider_refusal
from libs.config.catalog import Catalog
from libs.config.providers import Model, Provider
from libs.sealing.grants import Epoch, open_grant
from libs.sealing.secret import Secret
from services.key_vault.core.book import CredentialBook
from services.key_vault.core.granting import Granting
from services.key_vault.core.own_keys import MOST_GRANTED, MOST_REST_MS, OwnKey, Rests, chosen, own_keys
from services.relay.core.falling_back import after
from services.relay.core.tally import LIMITED_S, REFUSED_S, Tally, rests_s
from tests.unit.records import NOW_MS, Config, accepted, decisions

KEYS = [OwnKey(number, Secret(f"sk-{number}"), weight) for number, weight in enumerate((1, 3, 1, 1, 1))]


def _rests(**until_ms: int) -> Rests:
    rests = Rests()
    numbers = {int(name[1:]): NOW_MS + until for name, until in until_ms.items()}
    rests.note(OutcomesCounted(relay_id="r", provider_id="p", rests=numbers, counted_at_ms=NOW_MS))
    return rests


def _numbers(affinity: str, rests: Rests | None = None, keys: list[OwnKey] = KEYS, at_ms: int = NOW_MS) -> list[int]:
    return [key.number for key in chosen(keys, "p", affinity, rests or Rests(), at_ms)]


def test_tasks_are_spread_by_weight_and_keep_their_keys() -> None:
    found = [_numbers(f"task {number}") for number in range(3_000)]
    assert found == [_numbers(f"task {number}") for number in range(3_000)]
    assert all(len(numbers) == len(set(numbers)) == MOST_GRANTED for numbers in found)
    first = Counter(numbers[0] for numbers in found)
    assert 1_150 < first[1] < 1_420
    assert all(330 < first[number] < 530 for number in (0, 2, 3, 4))


@given(st.text(max_size=5))
def test_a_key_that_rests_moves_no_other_task(affinity: str) -> None:
    usual = _numbers(affinity)
    resting = _numbers(affinity, _rests(_1=10))
    assert 1 not in resting
    assert [number for number in usual if number != 1] == resting[: len([one for one in usual if one != 1])]
    assert _numbers(affinity, _rests(_1=10), at_ms=NOW_MS + 10) == usual


def test_where_all_rest_the_one_that_wakes_first_is_used() -> None:
    assert _numbers("t", _rests(_0=50, _1=40, _2=30, _3=20, _4=60)) == [3]
    assert _numbers("t", _rests(_0=50), KEYS[:1]) == [0]


def test_how_many_keys_of_a_provider_rest_is_known() -> None:
    rests = _rests(_0=1_000, _1=5_000)
    assert [rests.resting(NOW_MS + after) for after in (0, 2_000, 5_000)] == [{"p": 2}, {"p": 1}, {"p": 0}]


def test_no_report_puts_a_key_to_rest_for_ever() -> None:
    rests = _rests(_0=10**12)
    assert rests.until_ms("p", 0) == NOW_MS + MOST_REST_MS
    assert rests.until_ms("q", 0) == 0


@pytest.mark.parametrize(
    ("status", "more", "rest"),
    [
        (429, {}, LIMITED_S),
        (429, {"retry_after_s": 7}, 7),
        (401, {}, REFUSED_S),
        (403, {}, REFUSED_S),
        (500, {}, 0),
        (400, {}, 0),
    ],
)
def test_how_long_a_key_rests(status: int, more: dict[str, Any], rest: int) -> None:
    refusal = provider_refusal(status, b"{}", provider_id="p", byok=False, **more)
    assert rests_s(refusal) == rest
    tally = Tally()
    tally.refused("p", refusal, key=2, now_ms=NOW_MS)
    (counted,) = tally.take("r", NOW_MS)
    assert counted.rests == ({2: NOW_MS + rest * 1000} if rest else {})
    assert OutcomesCounted.decode(counted.encode(), "p") == counted


def _target(provider_id: str, key: int, model: str | None = None) -> Target:
    grant = decisions()[2].grants[0].model_copy(update={"key": key})
    return Target(provider_id=provider_id, upstream_model="u", model=model, grant=grant)


def test_another_key_is_tried_where_the_key_is_the_reason() -> None:
    first, *left = [_target("p", 0), _target("p", 1), _target("q", 0), _target("p", 0, "o/m")]

    def names(refusal: Refusal) -> list[tuple[str, int, str | None]]:
        return [(one.provider_id, one.grant.key, one.model) for one in after(refusal, first, left)]

    for status in (401, 429):
        assert len(names(provider_refusal(status, b"{}", provider_id="p", byok=False))) == 3
    failed = provider_refusal(500, b"{}", provider_id="p", byok=False)
    assert names(failed) == [("q", 0, None), ("p", 0, "o/m")]


CATALOG = Catalog(
    Config(
        providers={
            "p": Provider(
                base_url="http://p",
                api_key="env:A",
                api_keys=[{"key": "env:B", "weight": 2}, {"key": "env:MISSING"}],
            )
        },
        models=[Model(id="m/m", provider="p", upstream_model="m")],
    )
)


def test_each_key_is_sealed_under_its_number() -> None:
    environment = {"A": "sk-a", "B": "sk-b"}
    assert [(key.number, key.weight) for key in own_keys(CATALOG.providers["p"], environment)] == [(0, 1), (1, 2)]
    epoch = Epoch.generate("e", lambda _: 0)
    request = accepted(model="m/m")
    granted = Granting(environment, CredentialBook(), None).grant(request, CATALOG, epoch)  # type: ignore[arg-type]
    opened = {
        grant.key: open_grant(grant, epoch.key(0), request_id=request.request_id, now_ms=NOW_MS).reveal()
        for grant in granted.grants
    }
    assert opened == {0: "sk-a", 1: "sk-b"}


def test_a_key_never_stands_in_the_configuration() -> None:
    for key in ("sk-in-the-clear", "env:SLUICE_VAULT_KEY_ENCRYPTION_KEYS"):
        with pytest.raises(ValidationError):
            Provider.model_validate({"base_url": "http://p", "api_keys": [{"key": key}]})
