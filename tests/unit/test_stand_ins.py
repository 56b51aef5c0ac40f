"""Models that stand in: who names them, which are allowed, when they are asked, and what they are reserved at."""

from typing import Any

import pytest

from contracts.control import PolicySet
from contracts.decisions import CredentialGranted, PolicyDecided, QuotaReserved
from contracts.outcomes import OutcomesCounted
from contracts.prices import Price, PriceRule
from contracts.record import Refusal
from contracts.requests import Caller, ProviderSort, RequestAccepted, Surface
from contracts.routes import RequestRejected, RoutePlanned, Target
from libs.breakers import Health
from libs.config.auto import AutoModel, choose
from libs.config.catalog import Catalog
from libs.config.gateway import Breaker, Routing
from libs.config.providers import Model, Provider
from libs.sealing.grants import Epoch
from services.ingress.core.bodies import Asked, parse
from services.ingress.core.errors import BadRequest
from services.ingress.core.stand_ins import first_that_fits, stand_ins
from services.key_vault.core.book import CredentialBook
from services.key_vault.core.granting import Granting
from services.policy.core.rules import decide
from services.relay.core.ending import Ending, attempt_ended
from services.relay.core.falling_back import after
from services.router.core.join import Allowed
from services.router.core.plan import plan
from tests.unit.arrivals import let_in
from tests.unit.records import NOW_MS, PRICE, Config, accepted, decisions, request_id

CONFIG = Config(
    providers={name: Provider(base_url=f"http://{name}") for name in ("a", "b", "c")},
    models=[
        Model(id="one/small", provider="a", upstream_model="small", context_length=100, max_output_tokens=50),
        Model(id="one/large", provider="b", upstream_model="large", context_length=100_000, max_output_tokens=40),
        Model(id="one/large", provider="c", upstream_model="large", context_length=100_000),
        Model(id="one/speech", provider="c", upstream_model="tts", surfaces=[Surface.SPEECH]),
        Model(id="one/gift:free", provider="c", upstream_model="gift"),
    ],
    routing=Routing(sort=ProviderSort.CONFIGURED),
    auto={"alias": AutoModel(default="one/large")},
)
DEAR = PRICE.model_copy(update={"version": "dear"})
ALL = {("one/small", "a"): PRICE, ("one/large", "b"): DEAR, ("one/large", "c"): PRICE}


def _catalog(prices: dict[tuple[str, str], Price]) -> Catalog:
    listed: dict[str, dict[str, list[PriceRule]]] = {}
    for (model, provider), price in prices.items():
        listed.setdefault(model, {})[provider] = [PriceRule(price=price)]
    return Catalog(CONFIG, listed)


CATALOG = _catalog(ALL)


def _asked(**body: Any) -> Asked:
    from pydantic_core import to_json

    given = {"messages": [{"role": "user", "content": "hi"}]} | body
    return parse(Surface.CHAT_COMPLETIONS, to_json(given))


def _found(asked: Asked, configured: dict[str, list[str]] | None = None) -> list[str]:
    return [one.id for one in stand_ins(asked, CATALOG, configured or {})]


@pytest.mark.parametrize(
    ("body", "model", "others"),
    [
        ({"model": "one/small"}, "one/small", []),
        ({"model": "one/small", "models": ["one/small", "one/large"]}, "one/small", ["one/large"]),
        ({"models": ["one/small", "one/large", "one/large"], "route": "fallback"}, "one/small", ["one/large"]),
        ({"model": "one/small", "models": ["alias"]}, "one/small", ["one/large"]),
        ({"model": "one/large", "models": []}, "one/large", []),
    ],
)
def test_a_client_names_models_in_openrouter_s_shape(body: dict[str, Any], model: str, others: list[str]) -> None:
    asked = _asked(**body)
    assert (asked.model, _found(asked)) == (model, others)


@pytest.mark.parametrize(
    "body",
    [
        {"model": "one/small", "models": "one/large"},
        {"model": "one/small", "models": [1]},
        {"model": "one/small", "models": ["m"] * 9},
        {"model": "one/small", "route": "sort"},
        {"model": "one/small", "models": ["no/such"]},
        {"model": "one/small", "models": ["one/gift:free"]},
        {"model": "one/small", "models": ["one/speech"]},
        {"models": []},
    ],
)
def test_what_cannot_stand_in_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        _found(_asked(**body))


def test_the_configuration_s_hold_where_the_client_names_none_and_allows_it() -> None:
    configured = {"one/small": ["one/large", "one/speech"]}
    assert _found(_asked(model="one/small"), configured) == ["one/large"]
    assert _found(_asked(model="one/large"), configured) == []
    assert _found(_asked(model="one/small", provider={"allow_fallbacks": False}), configured) == []


def test_a_request_goes_to_the_first_model_into_which_it_fits() -> None:
    asked = _asked(model="one/small", models=["one/large"])
    others = stand_ins(asked, CATALOG, {})
    long = _asked(model="one/small", models=["one/large"], messages=[{"role": "user", "content": "word " * 2_000}])
    assert first_that_fits(asked, CATALOG.all_of("one/small"), others) == (asked, others)
    moved, left = first_that_fits(long, CATALOG.all_of("one/small"), others)
    assert (moved.model, moved.asked_model, left) == ("one/large", "one/small", [])


def _accepted(asked: Asked) -> RequestAccepted:
    return let_in(asked, CATALOG, stand_ins(asked, CATALOG, {}))


def test_bounds_are_those_of_all() -> None:
    request = _accepted(_asked(model="one/small", models=["one/large"]))
    assert request.stand_ins == ["one/large"]
    assert request.cap_tokens == 40
    alone = _accepted(_asked(model="one/small"))
    assert alone.input_tokens_most <= request.input_tokens_most


def _request(**changes: Any) -> RequestAccepted:
    fields: dict[str, Any] = {"model": "one/small", "stand_ins": ["one/large"]}
    return accepted(**(fields | changes))


def test_a_policy_holds_for_each_model() -> None:
    caller = Caller(account_id="a", organization_id="o")
    rules = {"o": PolicySet(organization_id="o", version=1, provider_allow=["a", "c"])}
    verdict = decide(_request(caller=caller), CATALOG, rules)
    assert (verdict.provider_ids, verdict.stand_ins) == (["a"], {"one/large": ["c"]})
    only = {"o": PolicySet(organization_id="o", version=1, model_allow=["one/small"])}
    assert decide(_request(caller=caller), CATALOG, only).stand_ins == {}
    none = {"o": PolicySet(organization_id="o", version=1, model_allow=["one/large"])}
    refused = decide(_request(caller=caller), CATALOG, none)
    assert refused.refusal
    assert refused.stand_ins == {}


def test_a_key_is_granted_for_each_provider_once() -> None:
    granting = Granting({}, CredentialBook(), None)  # type: ignore[arg-type]
    granted = granting.grant(_request(), CATALOG, Epoch.generate("e", lambda _: 0))
    assert [grant.provider_id for grant in granted.grants] == ["a", "b", "c"]


def _planned(
    health: Health | None = None, *, own: str = "", byok: bool = False, prices: Any = None, **policy: Any
) -> RoutePlanned | RequestRejected:
    _, quota, credential = decisions()
    grants = [
        credential.grants[0].model_copy(update={"provider_id": name, "byok": name == own}) for name in ("a", "b", "c")
    ]
    fields: dict[str, Any] = {"provider_ids": ["a"], "stand_ins": {"one/large": ["b", "c"]}} | policy
    verdict: Allowed[str] = Allowed(
        _request(),
        PolicyDecided(request_id=request_id(1), subject="acct:a", **fields),
        QuotaReserved(request_id=quota.request_id, subject=quota.subject, byok=byok),
        CredentialGranted(request_id=request_id(1), subject="acct:a", grants=grants),
        "source",
        "",
    )
    return plan(verdict, _catalog(prices or ALL), health or Health(lambda: None), NOW_MS)


def _names(route: RoutePlanned | RequestRejected) -> list[tuple[str | None, str]]:
    assert isinstance(route, RoutePlanned)
    return [(target.model, target.provider_id) for target in route.targets]


def test_stand_ins_come_after_the_model_s_own_providers() -> None:
    assert _names(_planned()) == [(None, "a"), ("one/large", "b"), ("one/large", "c")]
    assert _names(_planned(stand_ins={})) == [(None, "a")]
    assert _names(_planned(provider_ids=[])) == [("one/large", "b"), ("one/large", "c")]
    assert isinstance(_planned(provider_ids=[], stand_ins={}), RequestRejected)


def test_nobody_follows_an_own_key() -> None:
    assert _names(_planned(own="b")) == [(None, "a"), ("one/large", "b")]


def test_nobody_answers_for_whom_nothing_was_reserved() -> None:
    """Of a stand-in without a price, or where the owner's own key was to pay."""
    assert _names(_planned(prices={("one/small", "a"): PRICE, ("one/large", "c"): PRICE})) == [
        (None, "a"),
        ("one/large", "c"),
    ]
    assert isinstance(_planned(byok=True, provider_ids=[]), RequestRejected)
    assert isinstance(_planned(byok=True), RequestRejected)
    assert _names(_planned(byok=True, own="a")) == [(None, "a")]


def test_a_model_that_is_down_makes_way() -> None:
    health = Health(lambda: Breaker(failures=1, ratio=0.1, window_s=30, open_s=10))
    health.note(OutcomesCounted(relay_id="r", provider_id="a", failed=5, counted_at_ms=NOW_MS), NOW_MS)
    assert _names(_planned(health)) == [("one/large", "b"), ("one/large", "c")]


def _targets() -> list[Target]:
    grant = decisions()[2].grants[0]
    return [
        Target(provider_id=provider, upstream_model="u", model=model, grant=grant)
        for provider, model in (("a", None), ("b", None), ("b", "one/large"))
    ]


@pytest.mark.parametrize(
    ("status", "message", "left"),
    [
        (429, "slow down", 2),
        (502, "failed", 2),
        (504, "late", 2),
        (400, "openai: This model's maximum context length is 128000 tokens.", 1),
        (400, "anthropic: prompt is too long: 210000 tokens > 200000 maximum", 1),
        (400, "google: The input token count exceeds the maximum number of tokens allowed", 1),
        (400, "azure: The response was filtered due to Azure OpenAI's content management policy", 1),
        (413, "groq: input is too long", 1),
        (400, "temperature must be a number", 0),
        (401, "Your own key was refused", 0),
    ],
)
def test_who_is_asked_next(status: int, message: str, left: int) -> None:
    first, *others = _targets()
    assert len(after(Refusal(status=status, message=message), first, others)) == left


def test_the_books_have_the_model_that_answered() -> None:
    route = _planned()
    assert isinstance(route, RoutePlanned)
    from contracts.replies import Outcome

    ended = attempt_ended(route, Ending(Outcome.COMPLETED, target=route.targets[1]), NOW_MS)
    assert (ended.usage.model, ended.reply.model) == ("one/large", "one/large")
    first = attempt_ended(route, Ending(Outcome.COMPLETED, target=route.targets[0]), NOW_MS)
    assert (first.usage.model, first.reply.model) == ("one/small", None)


def test_an_alias_sends_some_tasks_to_a_canary_and_a_task_always_to_the_same() -> None:
    auto = AutoModel.model_validate(
        {"default": "a/a", "one_of": [{"model": "a/a", "weight": 95}, {"model": "b/b", "weight": 5}]}
    )

    def chosen(affinity: str) -> str:
        return choose(auto, mode=None, surface="x", affinity=affinity, has_balance=True).model

    found = [chosen(str(number)) for number in range(4_000)]
    assert 140 <= found.count("b/b") <= 260
    assert found == [chosen(str(number)) for number in range(4_000)]
