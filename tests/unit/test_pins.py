"""Keys and prompts go where the configuration file says, whatever stands in a version of the catalog."""

import asyncio
from typing import Any

import pytest

from libs.config.catalog import Catalog
from libs.config.gateway import GatewayConfig, Timeouts
from libs.config.pins import ANYWHERE, Pins
from libs.config.providers import Model, Provider
from libs.sealing.grants import Epoch
from libs.sealing.secret import Secret
from services.key_vault.core.book import CredentialBook
from services.key_vault.core.granting import Granting
from services.relay.upstream import UpstreamError, Upstreams
from tests.unit.records import Config, accepted

PINS = Pins(["https://api.example.com/v1", "https://{resource}.openai.azure.com/openai", "http://127.0.0.1:9000"])


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://api.example.com/v2/other", True),
        ("https://API.example.com", True),
        ("https://{resource}.openai.azure.com/x", True),
        ("http://127.0.0.1:9000/v1", True),
        ("http://api.example.com/v1", False),
        ("https://api.example.com:8443/v1", False),
        ("https://api.example.com.attacker.example/v1", False),
        ("https://attacker.example/?https://api.example.com", False),
        ("https://api.example.com@attacker.example/v1", False),
        ("https://attacker.example\\@api.example.com/v1", False),
        ("https://{project}.attacker.example/", False),
        ("https://attacker.example#{resource}.openai.azure.com", False),
        ("", False),
    ],
)
def test_an_address_is_one_of_those_that_are_pinned(url: str, allowed: bool) -> None:
    # Not as a configuration is read, which refuses some of them by itself.
    provider = Provider.model_construct(base_url=url)
    assert PINS.allow(provider) is allowed
    assert ANYWHERE.allow(provider)


def test_access_tokens_are_fetched_where_they_may_be() -> None:
    good = {"base_url": "https://api.example.com", "platform": "vertex"}
    assert not PINS.allow(Provider.model_validate(good))
    assert not PINS.allow(Provider.model_validate(good | {"token_url": "https://attacker.example"}))
    assert PINS.allow(Provider.model_validate(good | {"token_url": "https://api.example.com/token"}))


@pytest.mark.parametrize("more", [{}, {"provider_addresses": ["https://new.example.com"]}])
def test_the_file_s_own_providers_those_of_the_defaults_and_what_it_adds(more: dict[str, Any]) -> None:
    pins = Pins.of(GatewayConfig.model_construct(providers={"p": Provider(base_url="http://p:1")}, **more))
    assert pins.allow(Provider(base_url="http://p:1/v1"))
    assert pins.allow(Provider(base_url="https://api.openai.com/v1"))
    assert pins.allow(Provider(base_url="https://new.example.com/v1")) is bool(more)


def test_the_vault_seals_nothing_for_an_address_that_is_not_pinned() -> None:
    elsewhere = Provider(base_url="https://attacker.example/v1", api_key="env:KEY")
    config = Config(providers={"p": elsewhere}, models=[Model(id="stub/echo", provider="p", upstream_model="m")])
    granting = Granting({"KEY": "sk-secret"}, CredentialBook(), None, pins=PINS)  # type: ignore[arg-type]
    granted = granting.grant(accepted(), Catalog(config), Epoch.generate("e", lambda _: 0))
    assert not granted.grants
    assert granted.refusal is not None
    assert "provider_addresses" in granted.refusal.message


async def test_the_relay_connects_to_no_address_that_is_not_pinned() -> None:
    asked: list[str] = []

    def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append("asked")
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    upstreams = Upstreams(Timeouts(), PINS)
    await upstreams.start()
    try:
        provider = Provider(base_url=f"http://127.0.0.1:{port}/v1")
        with pytest.raises(UpstreamError) as refused:
            async with upstreams.call("p", provider, Secret("sk-secret"), None, byok=False):  # type: ignore[arg-type]
                pass
        assert refused.value.refusal.status == 503
        assert not asked
    finally:
        await upstreams.stop()
        server.close()
