"""Versions of the catalog: what is wrong with a file is said with its line, and a service knows what it serves."""

import asyncio
from typing import Any

import orjson
import pytest

from contracts.catalog import MOST_VERSIONS, CatalogPublished
from contracts.prices import PriceRule
from contracts.replies import Outcome
from contracts.usage import TokenUsage
from libs.config.changes import changes
from libs.config.document import CatalogDocument, document_of
from libs.config.gateway import DEFAULT_FILE, GatewayConfig, Limits
from libs.config.providers import Model, Pricing, Provider
from libs.config.reading import DocumentError, read_config
from libs.config.versions import MOST_BUILT, SUPERSEDED_MS, CatalogVersions
from libs.pricing.charging import UNPRICED
from services.policy.core.rules import decide
from services.relay.core.ending import Ending, attempt_ended
from tests.unit.records import NOW_MS, PRICE, Config, accepted, echo_versions, route

GOOD = """\
providers:
  stub: {base_url: "http://x", api_key: "env:KEY"}
models:
  - {id: a/b, provider: stub, upstream_model: u, pricing: {prompt: "0.1", completion: "0"}}
"""


def _record(version: int, at_ms: int = NOW_MS, **document: Any) -> CatalogPublished:
    return CatalogPublished(version=version, published_at_ms=at_ms, document=document)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (GOOD + "  - {id: a/c, provider: nobody, upstream_model: u}\n", "line 5: models.1.provider: model a/c"),
        (GOOD + "  - {id: a/c, provider: stub, upstream_model: u}\n", "line 5: models.1: model a/c has no price"),
        (GOOD.replace('"0.1"', "-1"), "line 4: models.0.pricing.prompt: Input should be greater than"),
        (GOOD + "modles: []\n", "line 5: modles: no such section"),
        (GOOD + "providers: {}\n", "line 5: providers: it stands here twice"),
        (GOOD.replace("env:KEY", "sk-canary"), "line 2: providers.stub.api_key: must be env:NAME"),
        (GOOD.replace("env:KEY", "env:SLUICE_DATABASE_URL"), "line 2: providers.stub.api_key: must not name"),
        (GOOD.replace("upstream_model: u", "upstream: u"), "line 4: models.0.upstream_model: Field required"),
        (GOOD.replace("http://x", "ftp://x"), "line 2: providers.stub.base_url: must be https://host/path"),
        (GOOD.replace("http://x", "x:8000/v1"), "line 2: providers.stub.base_url: must be https://host/path"),
        (GOOD.replace("http://x", "http://x:port/v1"), "line 2: providers.stub.base_url: must be https://host/path"),
        (GOOD.replace("http://x", "http://me:pass@x/v1"), "line 2: providers.stub.base_url: must be https://host/path"),
        (GOOD.replace("http://x", "http://x/v1?key=a"), "line 2: providers.stub.base_url: must end before `?`"),
        (GOOD.replace("a/b", "a b"), "line 4: models.0.id: a model's ID is a vendor and a name"),
        (GOOD + "auto: {x/y: {default: no/such}}\n", "line 5: auto.x/y: auto x/y: there is no model"),
        (GOOD + "limits: {free_requests: many}\n", "line 5: limits.free_requests"),
        ("providers: [", "line 1: "),
        ("- a\n", "line 1: the file is a mapping"),
        ("models: " + "[a, " * 100_000, "brackets are open at once"),
        ("a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
            f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 10)}]\n" for n in range(6)
        ), "more than 200,000 values"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line(text: str, problem: str) -> None:
    with pytest.raises(DocumentError) as error:
        read_config(text, environment=False)
    assert problem in str(error.value)
    assert "canary" not in str(error.value)


def test_a_file_is_read_as_at_a_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_LIMITS__FREE_REQUESTS", "7")
    assert read_config(GOOD).limits.free_requests == 7
    assert read_config(GOOD, environment=False).limits.free_requests == Limits().free_requests
    assert document_of(read_config(DEFAULT_FILE.read_text(), environment=False)) == document_of(
        GatewayConfig(limits=Limits())
    )


def test_what_is_published_can_be_read_again() -> None:
    limits: Any = {"account": {"usd_per_day": "5.00", "requests_per_minute": 3}}
    pricing = Pricing(prompt="0.000001", completion="0", units={"image/hd": "0.08"})
    model = Model(id="a/b", provider="p", upstream_model="u", released="2026-01-01", pricing=pricing)
    config = Config(providers={"p": Provider(base_url="http://x")}, models=[model], limits=limits)
    found = CatalogDocument.model_validate(orjson.loads(orjson.dumps(document_of(config))))
    assert (found.limits, found.models, found.providers) == (config.limits, config.models, config.providers)
    assert found.limits.account["usd_per_day"] == 5_000_000


def test_changes_are_named_by_what_a_person_calls_them() -> None:
    def version(config: GatewayConfig, price: PriceRule) -> CatalogPublished:
        return CatalogPublished(
            version=1, published_at_ms=0, document=document_of(config), prices={"a/b": {"p": [price]}}
        )

    model = Model(id="a/b", provider="p", upstream_model="u")
    before = version(Config(providers={"p": Provider(base_url="http://x")}, models=[model]), PriceRule(price=PRICE))
    dearer = PRICE.model_copy(update={"tiers": [PRICE.tiers[0].model_copy(update={"output": 9_000_000})]})
    after = version(
        Config(
            providers={"p": Provider(base_url="http://y"), "q": Provider(base_url="http://z")},
            models=[model, model.model_copy(update={"provider": "q"})],
            limits=Limits(free_requests=1),
        ),
        PriceRule(price=dearer),
    )
    found = {one.what: (one.before, one.after) for one in changes(before, after)}
    assert found == {
        "providers.p.base_url": ("http://x", "http://y"),
        "providers.q.base_url": (None, "http://z"),
        "models.a/b@q": (None, "there"),
        "models.a/b@q.upstream_model": (None, "u"),
        "limits.free_requests": (None, "1"),
        "prices.a/b@p": ("input 2 output 8 USD/M", "input 2 output 9 USD/M"),
    }
    assert changes(after, after) == []


def test_a_first_version_has_numbers_and_lists_as_people_write_them() -> None:
    model = Model.model_validate(
        {"id": "a/b", "provider": "p", "upstream_model": "u", "pricing": {"prompt": "0.0000005", "completion": "0"}}
    )
    keys = [{"key": "env:ONE", "quota": {"requests_per_day": 5}}, {"key": "env:TWO"}]
    provider = Provider.model_validate(
        {"base_url": "http://x", "api_keys": keys, "native": ["completions", "responses"]}
    )
    document = document_of(Config(providers={"p": provider}, models=[model]))
    found = {
        one.what: one.after for one in changes(None, CatalogPublished(version=1, published_at_ms=0, document=document))
    }
    assert found["models.a/b@p.pricing.prompt"] == "0.0000005"
    assert found["providers.p.api_keys.1.key"] == "env:ONE"
    assert found["providers.p.api_keys.1.quota.requests_per_day"] == "5"
    assert found["providers.p.api_keys.2.key"] == "env:TWO"
    assert found["providers.p.native"] == "completions, responses"
    assert not [text for text in found.values() if text and text[0] in "[{"]


def test_the_newest_version_counts_and_the_one_before_it_for_a_minute_more() -> None:
    now = NOW_MS
    versions = CatalogVersions(lambda: now)
    assert not versions.ready
    for number in (2, 1):
        versions.changed(str(number), _record(number))
    assert versions.newest.version == 2
    assert [versions.serves(number) for number in (1, 2, 3)] == [True, True, False]
    now += SUPERSEDED_MS
    assert [versions.serves(number) for number in (1, 2)] == [False, True]
    versions.changed("1", None)
    assert versions.find(1) is None
    # One that this program cannot read leaves those before it.
    versions.changed("3", _record(3, providers={"p": {"a newer field": 1}}))
    assert versions.newest.version == 2
    assert versions.find(3) is None


def test_memory_is_bounded_whatever_versions_are_asked_for() -> None:
    versions = CatalogVersions()
    for number in range(1, MOST_VERSIONS + 1):
        versions.changed(str(number), _record(number))
    assert all(versions.find(number) for number in range(1, MOST_VERSIONS + 1))
    assert len(versions._built) <= MOST_BUILT


async def test_a_version_on_its_way_is_waited_for() -> None:
    versions = echo_versions()
    waiting = [asyncio.create_task(versions.known(2)) for _ in range(3)]
    await asyncio.sleep(0)
    versions.changed("2", _record(2))
    assert [found.version for one in waiting if (found := await one)] == [2, 2, 2]


async def test_versions_that_never_come_hold_nobody_up_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("libs.config.versions.WAIT_S", 0.01)
    monkeypatch.setattr("libs.config.versions.MINUTE_WAIT_S", 0.03)
    versions, loop = echo_versions(), asyncio.get_running_loop()
    waits = 0
    for number in range(100, 200):
        began = loop.time()
        assert await versions.known(number) is None
        waits += loop.time() - began >= 0.005
    assert waits <= 2 * 4, "of two minutes at the most"


def test_a_request_of_a_version_that_is_not_known_is_refused() -> None:
    refusal = decide(accepted(catalog_version=9), None, {}).refusal
    assert refusal is not None
    assert refusal.status == 503


def test_usage_is_charged_by_the_version_that_it_names() -> None:
    ended = attempt_ended(route(), Ending(Outcome.COMPLETED, tokens=TokenUsage(output_tokens=1_000_000)), NOW_MS)
    versions = echo_versions()
    dearer = PRICE.model_copy(update={"tiers": [PRICE.tiers[0].model_copy(update={"output": 9_000_000})]})
    second = versions._records[1].model_copy(
        update={"version": 2, "prices": {"stub/echo": {"stub": [PriceRule(price=dearer)]}}}
    )
    versions.changed("2", second)
    assert versions.cost(ended.usage).microdollars == 8_000_000
    assert versions.cost(ended.usage.model_copy(update={"catalog_version": 2})).microdollars == 9_000_000
    assert versions.cost(ended.usage.model_copy(update={"catalog_version": 3})).price_version == UNPRICED
