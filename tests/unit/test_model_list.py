"""The list of models, read as its readers read it."""

from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
import pytest
from pydantic import BaseModel, ConfigDict, Field

from contracts.control import PolicySet
from libs.config.auto import AutoModel
from libs.config.catalog import Catalog
from libs.config.defaults import Defaults
from libs.config.gateway import load_config
from libs.config.providers import Model, Pricing, Provider
from libs.pricing.book import price_list
from services.ingress.core.catalog_pages import CatalogPages
from services.ingress.core.listing import ASSUMED_CONTEXT
from tests.unit.records import Config

NOW = datetime(2026, 11, 26, tzinfo=UTC)
CHEAP, DEAR = Pricing(prompt="0.000001", completion="0.000002"), Pricing(prompt="0.000003", completion="0.000001")
DECIMAL = r"^\d+(\.\d+)?$"


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True)


class KiloArchitecture(_Strict):
    """What `KiloModel` has of a model's kinds."""

    input_modalities: list[str] | None = None
    output_modalities: list[str] | None = None
    tokenizer: str | None = None


class KiloPricing(_Strict):
    """Texts, or nothing."""

    prompt: str | None = None
    completion: str | None = None
    input_cache_write: str | None = None
    input_cache_read: str | None = None


class KiloTopProvider(_Strict):
    """The limit of an answer."""

    max_completion_tokens: float | None = None


class KiloModel(_Strict):
    """Kilo-Org/kilocode, packages/kilo-gateway/src/api/models.ts, ``openRouterModelSchema``.

    ``.optional()`` of zod means missing, not null: such fields have no None here. One entry that fails, fails the list.
    """

    id: str
    name: str
    description: str = ""
    context_length: float
    max_completion_tokens: float | None = None
    pricing: KiloPricing = KiloPricing()
    architecture: KiloArchitecture = KiloArchitecture()
    top_provider: KiloTopProvider = KiloTopProvider()
    supported_parameters: list[str] = []
    preferredIndex: float = 0
    isFree: bool = False
    mayTrainOnYourPrompts: bool = False
    hasUserByokAvailable: bool = False
    autoRouting: dict[str, list[str]] = {}


class KiloModels(_Strict):
    """``openRouterModelsResponseSchema``."""

    data: list[KiloModel]

    def shown(self) -> set[str]:
        """``fetchKiloModels``: a model whose list of parameters lacks tools is hidden."""
        return {one.id for one in self.data if not one.supported_parameters or "tools" in one.supported_parameters}


class RouterArchitecture(_Strict):
    """OpenRouter's "Architecture Object"."""

    input_modalities: list[str]
    output_modalities: list[str]
    tokenizer: str
    instruct_type: str | None


class RouterPricing(_Strict):
    """OpenRouter's "Pricing Object": USD per token, request or unit."""

    prompt: Annotated[str, Field(pattern=DECIMAL)]
    completion: Annotated[str, Field(pattern=DECIMAL)]
    request: Annotated[str, Field(pattern=DECIMAL)]
    image: Annotated[str, Field(pattern=DECIMAL)]
    input_cache_read: Annotated[str, Field(pattern=DECIMAL)]
    input_cache_write: Annotated[str, Field(pattern=DECIMAL)]


class RouterTopProvider(_Strict):
    """OpenRouter's "Top Provider Object"."""

    context_length: int
    max_completion_tokens: int | None
    is_moderated: bool


class RouterModel(_Strict):
    """OpenRouter's documentation, "Models", "Model Object Schema": all fields must be there."""

    id: str
    canonical_slug: str
    name: str
    created: int
    description: str
    context_length: int
    architecture: RouterArchitecture
    pricing: RouterPricing
    top_provider: RouterTopProvider
    per_request_limits: None
    supported_parameters: list[str]


class KiloEndpoint(_Strict):
    """packages/kilo-gateway/src/api/endpoints.ts, ``endpointSchema``."""

    name: str
    tag: str
    provider_name: str
    quantization: str | None
    context_length: float | None
    max_completion_tokens: float | None
    pricing: KiloPricing | None


def _sent(page: Any) -> Any:
    return orjson.loads(orjson.dumps(page))


def _pages(*models: Model, auto: dict[str, AutoModel] | None = None, defaults: Defaults | None = None) -> CatalogPages:
    providers = {"p": Provider(base_url="http://p", name="P"), "q": Provider(base_url="http://q", protocol="gemini")}
    config = Config(providers=providers, models=list(models), auto=auto or {}, defaults=defaults or Defaults())
    return CatalogPages(Catalog(config, price_list(Catalog(config))))


@pytest.fixture(scope="module")
def default() -> CatalogPages:
    config = load_config(None)
    return CatalogPages(Catalog(config, price_list(Catalog(config))))


def test_the_default_list_is_read_by_kilo_code_s_client(default: CatalogPages) -> None:
    page = _sent(default.models(NOW))
    read = KiloModels.model_validate(page)
    config = load_config(None)
    assert {one.id for one in read.data} == {model.id for model in config.models} | set(config.auto)
    assert {"anthropic/claude-sonnet-4.5", "mistralai/codestral-2508", *config.auto} <= read.shown()
    hidden = {"openai/tts-1", "openai/whisper-1", "openai/gpt-image-2", "openai/text-embedding-3-small"}
    assert not hidden & read.shown()
    assert all(one.context_length > 0 for one in read.data if one.id in read.shown())


def test_the_default_list_has_all_that_openrouter_documents(default: CatalogPages) -> None:
    for one in _sent(default.models(NOW))["data"]:
        RouterModel.model_validate(one)


def test_endpoints_are_read_by_kilo_code_s_client(default: CatalogPages) -> None:
    for model in load_config(None).models:
        page = _sent(default.endpoints(model.id, NOW))
        assert page["data"]["id"] == model.id
        for one in page["data"]["endpoints"]:
            KiloEndpoint.model_validate(one)
    assert default.endpoints("no/such", NOW) is None


def test_a_model_without_a_context_has_a_number_all_the_same() -> None:
    speech = Model(
        id="a/b", provider="p", upstream_model="u", surfaces=["audio.speech"], pricing={"units": {"character": "1"}}
    )
    chat = Model(id="a/c", provider="p", upstream_model="u", pricing=CHEAP)
    pages = _pages(speech, chat, auto={"auto/x": AutoModel(default="a/c")})
    assert [one["context_length"] for one in pages.models(NOW)["data"]] == [0, ASSUMED_CONTEXT, ASSUMED_CONTEXT]


def test_a_name_for_several_models_promises_what_all_of_them_hold() -> None:
    one = Model(
        id="a/1", provider="p", upstream_model="u", context_length=10, pricing=CHEAP, input_modalities=["text", "image"]
    )
    two = Model(id="a/2", provider="q", upstream_model="u", context_length=20, pricing=DEAR, max_completion_tokens=5)
    pages = _pages(one, two, auto={"auto/x": AutoModel(default="a/1", modes={"plan": "a/2"}, preferred_index=3)})
    shown = pages.model("auto/x", NOW)
    assert shown is not None
    assert (shown["context_length"], shown["max_completion_tokens"], shown["preferredIndex"]) == (10, 5, 3)
    assert (shown["pricing"]["prompt"], shown["pricing"]["completion"]) == ("0.000003", "0.000002")
    assert shown["architecture"]["modality"] == "text->text"
    assert shown["autoRouting"] == {"models": ["a/1", "a/2"]}
    assert "logit_bias" not in shown["supported_parameters"]
    policy = PolicySet(organization_id="o", version=1, model_allow=["a/2"])
    narrowed = pages.model("auto/x", NOW, policy)
    assert narrowed is not None
    assert (narrowed["context_length"], narrowed["autoRouting"]) == (20, {"models": ["a/2"]})
    assert pages.model("auto/x", NOW, PolicySet(organization_id="o", version=1, model_allow=[])) is None


def test_parameters_are_those_that_reach_the_provider() -> None:
    plain = Model(id="a/1", provider="p", upstream_model="u", pricing=CHEAP)
    mute = Model(
        id="a/2", provider="p", upstream_model="u", pricing=CHEAP, unsupported=["tools", "reasoning_effort", "seed"]
    )
    found = {one["id"]: set(one["supported_parameters"]) for one in _pages(plain, mute).models(NOW)["data"]}
    assert {"tools", "reasoning", "include_reasoning", "structured_outputs", "seed", "max_tokens"} <= found["a/1"]
    assert found["a/1"] - found["a/2"] == {"tools", "reasoning", "include_reasoning", "seed"}


def test_models_by_provider_are_the_same_ones(default: CatalogPages) -> None:
    page = _sent(default.by_provider(NOW))
    config = load_config(None)
    slugs = {(group["slug"], model["slug"]) for group in page["providers"] for model in group["models"]}
    assert slugs == {(model.provider, model.id) for model in config.models}
    assert (page["total_providers"], page["total_models"]) == (len(page["providers"]), len(slugs))
    for group in page["providers"]:
        assert isinstance(group["displayName"], str)
        assert set(group["dataPolicy"]) == {"training", "retainsPrompts", "canPublish"}


def test_a_policy_leaves_providers_and_their_prices() -> None:
    first = Model(id="a/1", provider="p", upstream_model="u", pricing=CHEAP)
    second = Model(id="a/1", provider="q", upstream_model="u", pricing=DEAR)
    pages = _pages(first, second)
    policy = PolicySet(organization_id="o", version=1, provider_allow=["q"])
    [shown] = pages.models(NOW, policy)["data"]
    assert (shown["owned_by"], shown["pricing"]["prompt"]) == ("q", "0.000003")
    assert [group["slug"] for group in pages.by_provider(NOW, policy)["providers"]] == ["q"]


def test_models_to_begin_with_exist() -> None:
    with pytest.raises(ValueError, match="defaults: there is no model no/such"):
        Config(defaults=Defaults(model="no/such"))
    assert _pages().defaults(NOW) == {}
