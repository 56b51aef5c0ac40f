"""A task stays with its provider while that is well, and nobody else's order is changed."""

from typing import Any

import pytest

from contracts.outcomes import OutcomesCounted
from contracts.requests import Caller, ProviderSort, RequestAccepted
from libs.breakers import Health
from libs.config.catalog import Catalog, Offer
from libs.config.gateway import Breaker
from libs.config.providers import Model, Provider
from services.ingress.core.admission import MOST_HEADER_CHARACTERS
from services.router.core.sticky import STAYS_MS, Sticky
from tests.unit.records import NOW_MS, Config, accepted
from tests.unit.test_admission import GOOD, _accept, _parse

NAMES = ("a", "b", "c")
CATALOG = Catalog(
    Config(
        providers={name: Provider(base_url=f"http://{name}") for name in NAMES},
        models=[Model(id="any/model", provider=name, upstream_model="m") for name in NAMES],
    )
)
OFFERS: list[Offer] = list(CATALOG.all_of("any/model"))


def _request(**changes: Any) -> RequestAccepted:
    return accepted(**({"model": "any/model", "task_id": "t"} | changes))


def _first(sticky: Sticky, at_ms: int = NOW_MS, health: Health | None = None, **changes: Any) -> str:
    return sticky.ordered(OFFERS, _request(**changes), health or Health(lambda: None), at_ms)[0].provider_id


def _sent(provider_id: str = "b") -> Sticky:
    sticky = Sticky()
    sticky.note(_request(), provider_id, NOW_MS)
    return sticky


def test_a_task_goes_where_it_went() -> None:
    assert _first(Sticky()) == "a"
    assert _first(_sent()) == "b"
    assert _first(_sent(), NOW_MS + STAYS_MS - 1) == "b"
    assert _first(_sent(), NOW_MS + STAYS_MS) == "a"
    assert _first(_sent("gone")) == "a"
    rest = [offer.provider_id for offer in _sent().ordered(OFFERS, _request(), Health(lambda: None), NOW_MS)]
    assert rest == ["b", "a", "c"]


@pytest.mark.parametrize(
    "changes",
    [
        {"task_id": None},
        {"task_id": "another"},
        {"model": "another/model"},
        {"caller": Caller(account_id="another")},
        {"provider_order": ["c"]},
        {"provider_sort": ProviderSort.LATENCY},
    ],
)
def test_others_go_by_the_order(changes: dict[str, Any]) -> None:
    assert _first(_sent(), **changes) == "a"


@pytest.mark.parametrize("report", [{"failed": 5}, {"limited": 1}])
def test_a_provider_that_is_not_well_is_left(report: dict[str, int]) -> None:
    health = Health(lambda: Breaker(failures=1, ratio=0.1, window_s=30, open_s=10))
    health.note(OutcomesCounted(relay_id="r", provider_id="b", counted_at_ms=NOW_MS, **report), NOW_MS)
    assert _first(_sent(), health=health) == "a"


def test_memory_is_bounded() -> None:
    sticky = Sticky(most=10)
    for number in range(100):
        sticky.note(_request(task_id=str(number)), "b", NOW_MS)
        sticky.note(_request(task_id=None), "b", NOW_MS)
    assert len(sticky) == 10
    assert _first(sticky, task_id="99") == "b"


def test_a_session_of_the_body_names_a_task() -> None:
    from pydantic_core import to_json

    asked = _parse(to_json(GOOD | {"session_id": "s"}))
    assert _accept(asked, Caller(account_id="a")).task_id == "s"
    assert _accept(asked, Caller(account_id="a"), {"x-session-id": "h"}).task_id == "h"
    from services.ingress.core.errors import BadRequest

    for wrong in (1, "x" * (MOST_HEADER_CHARACTERS + 1), "a\nb"):
        with pytest.raises(BadRequest):
            _accept(_parse(to_json(GOOD | {"session_id": wrong})), Caller(account_id="a"))
