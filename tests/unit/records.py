"""Records for tests, with sensible defaults."""

import os
from pathlib import Path
from typing import Any, ClassVar

from contracts.catalog import CatalogPublished, PriceList
from contracts.charges import ChargePosted
from contracts.control import PolicySet
from contracts.decisions import CredentialGranted, PolicyDecided, QuotaReserved, SealedGrant
from contracts.prices import Price, PriceRule, Rates
from contracts.prompts import PromptSubmitted
from contracts.record import ReplyAddress
from contracts.replies import Outcome
from contracts.requests import CallableRequest, Caller, RequestAccepted, Surface, carried
from contracts.routes import RoutePlanned, Target
from contracts.usage import TokenUsage
from libs.config.document import document_of
from libs.config.gateway import GatewayConfig
from libs.config.providers import Model, Provider
from libs.config.versions import CatalogVersions


class Config(GatewayConfig):
    """A configuration that is what it is given, and no file."""

    file: ClassVar[Path | None] = Path(os.devnull)


NOW_MS = 1_795_000_000_000
PRICE = Price(version="test:1", tiers=[Rates(input=2_000_000, output=8_000_000)])


def request_id(number: int) -> str:
    """A UUIDv7 that is the same for the same number."""
    return f"01a20fa9-{number % 65536:04x}-765b-82a0-{number:012x}"


def accepted(number: int = 1, **changes: Any) -> RequestAccepted:
    """A request."""
    fields: dict[str, Any] = {
        "request_id": request_id(number),
        "subject": "acct:a",
        "caller": Caller(account_id="a"),
        "surface": Surface.CHAT_COMPLETIONS,
        "model": "stub/echo",
        "stream": False,
        "catalog_version": 1,
        "accepted_at_ms": NOW_MS,
        "route_by_ms": NOW_MS + 15_000,
        "deadline_ms": NOW_MS + 600_000,
        "prompt_bytes": 100,
        "reply_to": ReplyAddress(partition=0, ingress_id="ingress-1"),
    }
    return RequestAccepted(**(fields | changes))


def decisions(number: int = 1) -> tuple[PolicyDecided, QuotaReserved, CredentialGranted]:
    """Three that allow."""
    grant = SealedGrant(provider_id="stub", epoch_id="e", nonce="", ciphertext="", expires_at_ms=NOW_MS)
    return (
        PolicyDecided(request_id=request_id(number), subject="acct:a", provider_ids=["stub"]),
        QuotaReserved(request_id=request_id(number), subject="acct:a"),
        CredentialGranted(request_id=request_id(number), subject="acct:a", grants=[grant]),
    )


def route(number: int = 1) -> RoutePlanned:
    """A route."""
    grant = decisions(number)[2].grants[0]
    target = Target(provider_id="stub", upstream_model="echo-1", grant=grant)
    return RoutePlanned(**carried(accepted(number), CallableRequest), targets=[target], planned_at_ms=NOW_MS)


def prompt(number: int = 1) -> PromptSubmitted:
    """A prompt."""
    return PromptSubmitted(request_id=request_id(number), content=b'{"model":"stub/echo","messages":[]}')


def versions_of(config: GatewayConfig, prices: PriceList | None = None) -> CatalogVersions:
    """A service's versions of the catalog, of which there is one."""
    versions = CatalogVersions(lambda: NOW_MS)
    record = CatalogPublished(
        version=1, published_at_ms=NOW_MS, document=document_of(config), prices=prices if prices is not None else {}
    )
    versions.changed(record.state_key, record)
    return versions


def echo_versions() -> CatalogVersions:
    """With the model of `accepted`, at `PRICE`."""
    provider = Provider(base_url="http://stub")
    models = [Model(id=name, provider="stub", upstream_model="echo-1") for name in ("stub/echo", "stub/echo:free")]
    return versions_of(
        Config(providers={"stub": provider}, models=models), {"stub/echo": {"stub": [PriceRule(price=PRICE)]}}
    )


def policy(**changes: Any) -> PolicySet:
    """An organization's policy."""
    return PolicySet(**({"organization_id": "o", "version": 3} | changes))


def posted(number: int) -> ChargePosted:
    """A charge of one of seven owners."""
    return ChargePosted(
        charge_id=request_id(number),
        subject=f"acct:sinks{number % 7}",
        model="m",
        outcome=Outcome.COMPLETED,
        tokens=TokenUsage(),
        estimated=False,
        byok=False,
        cost_microdollars=1,
        price_version="p",
        posted_at_ms=NOW_MS,
    )
