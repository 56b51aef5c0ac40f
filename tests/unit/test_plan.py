"""The route: who is asked, in which order, and who is left alone."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.decisions import CredentialGranted, PolicyDecided, QuotaReserved
from contracts.outcomes import OutcomesCounted, Pace
from contracts.prices import Price, PriceRule, Rates, UnitRate
from contracts.quantities import Unit
from contracts.record import Refusal
from contracts.requests import ProviderSort, RequestAccepted
from contracts.routes import RequestRejected, RoutePlanned
from libs.breakers import Health, Standing
from libs.config.catalog import Catalog
from libs.config.gateway import Breaker, Routing
from libs.config.providers import Model, Provider
from services.router.core.join import Allowed, Refused
from services.router.core.order import blended
from services.router.core.plan import plan, reject
from services.router.core.sticky import Sticky
from tests.unit.records import NOW_MS, Config, accepted, decisions, request_id

PROVIDERS = ("a", "b", "c")
BREAKER = Breaker(failures=3, ratio=0.5, window_s=30, open_s=10)
PRICES = {"a": 30, "b": 10, "c": 20}


def _catalog(costs: dict[str, int], sort: ProviderSort = ProviderSort.PRICE) -> Catalog:
    config = Config(
        providers={name: Provider(base_url=f"http://{name}") for name in PROVIDERS},
        models=[
            Model(
                id="any/model",
                provider=name,
                upstream_model=f"model-at-{name}",
                data_collection="allow" if name == "c" else "deny",
            )
            for name in PROVIDERS
        ],
        routing=Routing(sort=sort),
    )
    prices = {name: Price(version=name, tiers=[Rates(input=cost, output=cost)]) for name, cost in costs.items()}
    return Catalog(config, {"any/model": {name: [PriceRule(price=price)] for name, price in prices.items()}})


CATALOG = _catalog(PRICES)


def _request(**changes: Any) -> RequestAccepted:
    return accepted(**({"model": "any/model"} | changes))


def _allowed(request: RequestAccepted, **changes: Any) -> Allowed[str]:
    policy, quota, credential = decisions()
    grant = credential.grants[0]
    fields: dict[str, Any] = {
        "policy": policy.model_copy(update={"provider_ids": list(PROVIDERS)}),
        "quota": quota,
        "credential": credential.model_copy(
            update={"grants": [grant.model_copy(update={"provider_id": name}) for name in PROVIDERS]}
        ),
    }
    return Allowed(request, **(fields | changes), source="here", traceparent="")


def _asked(
    request: RequestAccepted,
    health: Health | None = None,
    sort: ProviderSort = ProviderSort.PRICE,
    now_ms: int = NOW_MS,
    prices: dict[str, int] = PRICES,
) -> list[str]:
    """Who is asked, in order; nobody where the request is rejected."""
    route = plan(_allowed(request), _catalog(prices, sort), health or Health(lambda: BREAKER), now_ms)
    if isinstance(route, RequestRejected):
        return []
    return [target.provider_id for target in route.targets]


def _told(provider_id: str, **counts: Any) -> OutcomesCounted:
    return OutcomesCounted(relay_id="r", provider_id=provider_id, counted_at_ms=NOW_MS, **counts)


def _out_of_order(*providers: str, answered: int = 0) -> Health:
    health = Health(lambda: BREAKER)
    for provider_id in providers:
        health.note(_told(provider_id, failed=3, answered=answered), NOW_MS)
    return health


def test_the_cheapest_is_asked_first_unless_the_operator_sorts_otherwise() -> None:
    assert _asked(_request()) == ["b", "c", "a"]
    assert _asked(_request(), sort=ProviderSort.CONFIGURED) == ["a", "b", "c"]
    assert _asked(_request(provider_sort=ProviderSort.CONFIGURED)) == ["a", "b", "c"]


def test_what_has_a_price_by_unit_is_ordered_by_it() -> None:
    def price(rate: int) -> Price:
        units = [UnitRate(unit=Unit.IMAGE, rate=rate), UnitRate(unit=Unit.IMAGE, kind="hd", rate=1)]
        return Price(version=str(rate), tiers=[Rates(input=0, output=0)], units=units)

    assert blended(price(10)) < blended(price(20))


def test_the_fastest_is_asked_first_and_who_is_unknown_before_them() -> None:
    health = Health(lambda: BREAKER)
    for name, first_byte_ms, speed in (("a", 900, 90.0), ("b", 400, 20.0)):
        health.note(
            _told(name, paces={f"model-at-{name}": Pace(first_byte_ms=first_byte_ms, tokens_per_s=speed)}), NOW_MS
        )
    by_latency, by_speed = (
        _request(provider_sort=ProviderSort.LATENCY),
        _request(provider_sort=ProviderSort.THROUGHPUT),
    )
    assert _asked(by_latency, health) == ["c", "b", "a"]
    assert _asked(by_speed, health) == ["c", "a", "b"]
    # Among equals in price the faster comes first.
    assert _asked(_request(), health, prices={"a": 10, "b": 10, "c": 20}) == ["b", "a", "c"]
    # Less of a difference than a step is none.
    near = Health(lambda: BREAKER)
    for name, first_byte_ms in (("a", 499), ("b", 400), ("c", 500)):
        near.note(_told(name, paces={f"model-at-{name}": Pace(first_byte_ms=first_byte_ms)}), NOW_MS)
    assert _asked(_request(provider_sort=ProviderSort.LATENCY), near, prices={}) == ["a", "b", "c"]
    # What was long ago is forgotten.
    assert _asked(by_latency, health, now_ms=NOW_MS + 600_000) == ["b", "c", "a"]


def test_the_client_s_wishes() -> None:
    assert _asked(_request(provider_order=["c", "c", "nobody", "a"])) == ["c", "a", "b"]
    assert _asked(_request(provider_only=["a", "c"])) == ["c", "a"]
    assert _asked(_request(provider_ignore=["b"])) == ["c", "a"]
    assert _asked(_request(deny_data_collection=True)) == ["b", "a"]
    assert _asked(_request(allow_fallbacks=False)) == ["b"]


def test_a_wish_that_leaves_nobody_is_told_with_those_that_there_are() -> None:
    rejected = plan(_allowed(_request(provider_only=["x"])), CATALOG, Health(lambda: BREAKER), NOW_MS)
    assert isinstance(rejected, RequestRejected)
    assert (rejected.refusal.status, rejected.failed) == (404, False)
    assert "a, b, c" in rejected.refusal.message


def test_who_is_out_of_order_comes_last_whatever_anybody_prefers() -> None:
    health = _out_of_order("b", answered=1)
    assert _asked(_request(), health) == ["c", "a", "b"]
    assert _asked(_request(provider_order=["b"]), health) == ["c", "a", "b"]


def test_who_is_at_a_limit_comes_after_the_others_but_not_after_the_client_s_order() -> None:
    health = Health(lambda: BREAKER)
    health.note(_told("b", limited=1), NOW_MS)
    assert _asked(_request(), health) == ["c", "a", "b"]
    assert _asked(_request(provider_order=["b"]), health) == ["b", "c", "a"]
    assert _asked(_request(), health, now_ms=NOW_MS + 10_000) == ["b", "c", "a"]


def test_after_a_while_one_request_tries_who_was_out_of_order() -> None:
    health = _out_of_order("a")
    assert _asked(_request(), health, now_ms=NOW_MS + 9_999) == ["b", "c", "a"]
    later = NOW_MS + 10_000
    assert _asked(_request(allow_fallbacks=False), health, now_ms=later) == ["b"], "it would have nowhere to turn"
    assert _asked(_request(), health, now_ms=later) == ["a", "b", "c"]
    assert _asked(_request(), health, now_ms=later) == ["b", "c", "a"], "one is enough"
    assert _asked(_request(), health, now_ms=later + 10_000) == ["a", "b", "c"], "the first may have been lost"
    health.note(_told("a", answered=1), later + 10_000)
    assert health.standing("a", later) is Standing.WELL


def test_where_all_are_down_the_client_is_told_when_to_come_again() -> None:
    health = _out_of_order(*PROVIDERS)
    rejected = plan(_allowed(_request()), CATALOG, health, NOW_MS + 4_500)
    assert isinstance(rejected, RequestRejected)
    assert (rejected.refusal.status, rejected.refusal.retry_after_s, rejected.failed) == (503, 6, True)
    later = NOW_MS + 10_000
    tried = [_asked(_request(allow_fallbacks=False), health, now_ms=later) for _ in range(3)]
    assert tried == [["b"], [], []], "only the first of them is tried by who wants no other"


def test_where_all_fail_but_not_always_they_are_asked_all_the_same() -> None:
    assert _asked(_request(), _out_of_order(*PROVIDERS, answered=1)) == ["b", "c", "a"]


def test_a_user_s_own_key_is_used_whatever_the_provider_s_standing() -> None:
    own = [grant.model_copy(update={"byok": True}) for grant in _allowed(_request()).credential.grants[:1]]
    allowed = _allowed(_request(), credential=CredentialGranted(request_id=request_id(1), subject="acct:a", grants=own))
    route = plan(allowed, CATALOG, _out_of_order(*PROVIDERS), NOW_MS)
    assert isinstance(route, RoutePlanned)
    assert ([target.provider_id for target in route.targets], route.reserved_microdollars) == (["a"], None)


def test_the_gateway_s_key_is_not_used_where_nobody_reserved_credit_for_it() -> None:
    quota = QuotaReserved(request_id=request_id(1), subject="acct:a", byok=True)
    rejected = plan(_allowed(_request(), quota=quota), CATALOG, Health(lambda: BREAKER), NOW_MS)
    assert isinstance(rejected, RequestRejected)
    assert (rejected.refusal.status, rejected.failed) == (503, True)


def test_plan_takes_what_policy_left_and_the_vault_granted() -> None:
    nobody = PolicyDecided(request_id=request_id(1), subject="acct:a", provider_ids=["other"])
    rejected = plan(_allowed(_request(), policy=nobody), CATALOG, Health(lambda: BREAKER), NOW_MS)
    assert isinstance(rejected, RequestRejected)
    assert (rejected.refusal.status, rejected.failed) == (503, True)
    no = Refusal(status=403, message="no")
    assert reject(Refused(_request(), no, False, None, "here", ""), NOW_MS).refusal == no


@pytest.mark.parametrize("sort", ProviderSort)
@given(
    told=st.lists(
        st.tuples(
            st.sampled_from(PROVIDERS), st.integers(0, 5), st.integers(0, 5), st.integers(0, 1), st.integers(0, 9_000)
        ),
        max_size=12,
    ),
    order=st.lists(st.sampled_from((*PROVIDERS, "x")), max_size=4),
)
def test_everybody_is_asked_once_at_most_and_the_well_before_the_broken(
    sort: ProviderSort, told: list[tuple[str, int, int, int, int]], order: list[str]
) -> None:
    health, now_ms = Health(lambda: BREAKER), NOW_MS
    for provider_id, answered, failed, limited, later_ms in told:
        now_ms += later_ms
        health.note(_told(provider_id, answered=answered, failed=failed, limited=limited), now_ms)
    trials = {name for name in PROVIDERS if not health.half_open_in_ms(name, now_ms)}
    asked = _asked(_request(provider_order=order), health, sort, now_ms)
    standings = [health.standing(name, now_ms) for name in asked]
    if not asked:
        assert all(health.standing(name, now_ms) is Standing.DOWN for name in PROVIDERS)
        return
    assert sorted(asked) == list(PROVIDERS)
    if standings[0] >= Standing.FAILING:
        assert asked[0] in trials or min(standings) >= Standing.FAILING
        standings = standings[1:]
    broken = [standing >= Standing.FAILING for standing in standings]
    assert broken == sorted(broken)


def test_the_first_of_a_task_is_noted_and_the_next_follows_it() -> None:
    """Also where nothing has been noted of any task before."""
    sticky, health = Sticky(), Health(lambda: BREAKER)

    def first(**more: Any) -> str:
        route = plan(_allowed(_request(**({"task_id": "t"} | more))), CATALOG, health, NOW_MS, sticky)
        assert isinstance(route, RoutePlanned)
        return route.targets[0].provider_id

    usual, other = first(task_id=None), PROVIDERS[-1]
    assert usual != other
    assert first(provider_order=[other]) == other
    assert first() == other
    assert first(task_id="another") == usual
