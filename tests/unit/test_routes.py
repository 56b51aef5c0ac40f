"""The routes of the ingress that need no log, as clients see them."""

import json
import re
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from contracts import topics
from contracts.control import PolicySet
from contracts.requests import Caller, Surface, Voucher
from libs.bus.views import View
from libs.chat.shapes.schema import schema_of
from libs.config.auto import AutoModel
from libs.config.catalog import Catalog
from libs.config.defaults import Defaults
from libs.config.gateway import Limits
from libs.config.providers import Model, Pricing, Provider
from libs.pricing.book import price_list
from services.ingress.core.errors import Forbidden, Unauthorized
from services.ingress.counting import TokenCountPage
from services.ingress.models import CatalogRoutes, NewestPages, PublicPage
from services.ingress.openapi import document
from services.ingress.routes import BATCH_PATHS, PATHS, PREFIXES, ROOT, application
from services.ingress.visitors import Visitors
from tests.unit.records import Config, versions_of

FREE = Pricing(prompt="0", completion="0")
CONFIG = Config(
    providers={"p": Provider(base_url="http://p")},
    models=[
        Model(id="stub/echo", provider="p", upstream_model="u", context_length=1_000, pricing=FREE),
        Model(id="stub/echo:free", provider="p", upstream_model="u"),
    ],
    auto={"kilo-auto/small": AutoModel(default="stub/echo")},
    defaults=Defaults(model="kilo-auto/small"),
)
VERSIONS = versions_of(CONFIG, price_list(Catalog(CONFIG)))
ASK: dict[str, Any] = {"model": "stub/echo", "messages": [{"role": "user", "content": "x" * 4_000}]}
KEY = {"x-api-key": "good"}


class _Authenticator:
    async def identify(self, token: str, organization_id: str | None) -> tuple[Caller, Voucher | None]:
        if token != "good":
            raise Unauthorized("This API key is not valid.")
        if organization_id not in (None, "org"):
            raise Forbidden("This organization does not exist, or this account is not a member of it.")
        return Caller(account_id="a", organization_id=organization_id), None


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """In place of the pages that need the log."""


def _application() -> Starlette:
    config = Config(limits=Limits(body_bytes=100_000, anonymous_body_bytes=50_000))
    visitors = Visitors(_Authenticator(), config, lambda: config.limits)
    counting = TokenCountPage(visitors, VERSIONS)
    policies = View(topics.POLICIES)
    policies.apply("org", PolicySet(organization_id="org", version=1, model_allow=["*:free"]))
    return application(
        CatalogRoutes(NewestPages(VERSIONS), visitors, policies),
        dict.fromkeys(Surface, _nothing),
        balance=_nothing,
        profile=_nothing,
        profile_balance=_nothing,
        counting=counting,
        response=_nothing,
        input_items=_nothing,
        generation=_nothing,
        request=_nothing,
        answer_cache=_nothing,
        stream=_nothing,
        openapi=PublicPage(lambda _: document()),
        mcp=_nothing,
        batches=[(path, _nothing, list(methods)) for path, methods in BATCH_PATHS.items()],
    )


def _client() -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(_application()), base_url="http://gateway")


def _routes() -> set[tuple[str, str]]:
    """Methods and paths, but for other names of them."""
    found = {
        (method.lower(), re.sub(":path}", "}", route.path))
        for route in _application().routes
        if isinstance(route, Route)
        for method in route.methods or ()
        if method != "HEAD"
    }
    others = (*PREFIXES[1:], f"{ROOT}/organizations/", f"{ROOT}{PATHS[Surface.FIM]}", "/openapi.json")
    return {(method, path) for method, path in found if not path.startswith(others)}


async def test_the_openapi_document_has_every_route_and_no_other() -> None:
    async with _client() as client:
        served = (await client.get("/openapi.json")).json()
    assert {(method, path) for path, methods in served["paths"].items() for method in methods} == _routes()
    names = [operation["operationId"] for methods in served["paths"].values() for operation in methods.values()]
    assert len(set(names)) == len(names) > 30


def test_the_openapi_document_refers_to_schemas_that_are_json_schemas() -> None:
    made = document()
    schemas = made["components"]["schemas"]
    referred = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(made)))
    assert referred == set(schemas)
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)


def test_a_shape_of_something_else_is_an_error() -> None:
    with pytest.raises(TypeError):
        schema_of(set[int], {})


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_one_model_is_what_the_list_says_of_it(prefix: str) -> None:
    async with _client() as client:
        listed = (await client.get(f"{prefix}/models")).json()["data"]
        assert [model["id"] for model in listed] == ["stub/echo", "stub/echo:free", "kilo-auto/small"]
        for model in listed:
            for name in (model["id"], model["id"].replace("/", "%2F")):
                found = await client.get(f"{prefix}/models/{name}")
                assert (found.status_code, found.json()) == (200, model)
        endpoints = await client.get(f"{prefix}/models/stub/echo/endpoints")
        assert endpoints.json()["data"]["endpoints"]
        assert endpoints.headers["cache-control"] == "public, max-age=0, s-maxage=60, stale-while-revalidate=60"
        unknown = await client.get(f"{prefix}/models/no/such")
        assert unknown.status_code == 404
        assert (unknown.json()["error"]["code"], "GET /models" in unknown.text) == (404, True)
        missing = await client.get(f"{prefix}/models/no/such/endpoints")
        assert missing.json() == {"error": {"message": "Not Found", "code": 404}}


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/api/gateway/models", {**KEY, "X-KiloCode-OrganizationId": "org"}),
        ("/api/v1/models", {"authorization": "Bearer good", "x-kilocode-organizationid": "org"}),
        ("/api/organizations/org/models", KEY),
        ("/api/v1/organizations/org/models", KEY),
    ],
)
async def test_an_organization_s_policy_filters_the_list(path: str, headers: dict[str, str]) -> None:
    async with _client() as client:
        listed = (await client.get(path, headers=headers)).json()["data"]
        assert [model["id"] for model in listed] == ["stub/echo:free"]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/api/organizations/org/models", {}, 401),
        ("/api/organizations/org/models", {"authorization": "Bearer anonymous"}, 401),
        ("/api/organizations/other/models", KEY, 403),
        ("/api/organizations/org/models", {"authorization": "Bearer bad"}, 401),
        ("/api/gateway/models", {"authorization": "Bearer bad"}, 200),
        ("/api/gateway/models", {"authorization": "Bearer anonymous"}, 200),
    ],
)
async def test_who_may_read_the_list(path: str, headers: dict[str, str], status: int) -> None:
    async with _client() as client:
        assert (await client.get(path, headers=headers)).status_code == status


async def test_models_to_begin_with() -> None:
    async with _client() as client:
        assert (await client.get("/api/defaults")).json() == {
            "defaultModel": "kilo-auto/small",
            "defaultFreeModel": "stub/echo:free",
        }
        assert (await client.get("/api/organizations/org/defaults", headers=KEY)).json() == {
            "defaultModel": "stub/echo:free",
            "defaultFreeModel": "stub/echo:free",
        }


@pytest.mark.parametrize(
    ("path", "headers"),
    [("/messages/batches", {}), ("/v1/messages/batches", {}), ("/v1/skills", {"anthropic-version": "2023-06-01"})],
)
async def test_a_route_that_anthropic_has_is_missing_in_its_own_words(path: str, headers: dict[str, str]) -> None:
    async with _client() as client:
        missing = await client.post(f"{PREFIXES[0]}{path}", headers=headers)
    assert missing.status_code == 404
    assert (missing.json()["type"], missing.json()["error"]["type"]) == ("error", "not_found_error")


async def test_other_routes_are_missing_in_the_gateway_s() -> None:
    async with _client() as client:
        missing = await client.post("/api/gateway/assistants")
        assert (missing.status_code, set(missing.json())) == (404, {"error"})
        wrong = await client.get("/api/gateway/messages")
        assert (wrong.status_code, wrong.json()["type"]) == (405, "error")


@pytest.mark.parametrize("path", ["/messages/count_tokens", "/v1/messages/count_tokens?beta=true"])
async def test_tokens_are_estimated(path: str) -> None:
    async with _client() as client:
        found = await client.post(f"{PREFIXES[0]}{path}", json=ASK, headers=KEY)
        assert found.status_code == 200
        assert 1_000 <= found.json()["input_tokens"] <= 1_050
        image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 40_000}}
        seen = {**ASK, "messages": [{"role": "user", "content": [image]}]}
        assert (await client.post(f"{PREFIXES[0]}{path}", json=seen, headers=KEY)).json()["input_tokens"] < 2_000
        alias = await client.post(f"{PREFIXES[0]}{path}", json={**ASK, "model": "kilo-auto/small"}, headers=KEY)
        assert alias.status_code == 200


@pytest.mark.parametrize(
    ("body", "headers", "status", "kind"),
    [
        (ASK, {}, 401, "authentication_error"),
        (ASK, {"x-api-key": "bad"}, 401, "authentication_error"),
        ({**ASK, "model": "stub/echo:free"}, {}, 200, None),
        ({**ASK, "model": "no/such"}, KEY, 400, "invalid_request_error"),
        ({"model": "stub/echo"}, KEY, 400, "invalid_request_error"),
        ({**ASK, "thread": {"type": "create"}}, KEY, 400, "invalid_request_error"),
        ({**ASK, "system": "x" * 100_000}, KEY, 413, "request_too_large"),
        ({**ASK, "model": "stub/echo:free", "system": "x" * 60_000}, {}, 401, "authentication_error"),
        ({**ASK, "messages": [[]] * 100_001}, KEY, 413, "request_too_large"),
    ],
)
async def test_what_is_refused_has_anthropic_s_shape(
    body: dict[str, Any], headers: dict[str, str], status: int, kind: str | None
) -> None:
    async with _client() as client:
        found = await client.post("/api/gateway/messages/count_tokens", json=body, headers=headers)
    assert found.status_code == status
    assert found.json().get("error", {}).get("type") == kind
