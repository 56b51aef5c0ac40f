"""The configuration file, and environment variables over it (``SLUICE_LIMITS__BODY_BYTES=...``)."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar, Protocol

from pydantic import Field, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from contracts.answers import MOST_TTL_S
from contracts.requests import MOST_RETRIES, MOST_STAND_INS, ProviderSort, is_free
from libs.config.auto import AutoModel
from libs.config.defaults import Defaults
from libs.config.meters import Meters
from libs.config.providers import Model, Provider
from libs.config.section import Section
from libs.config.sinks import AlertRules, Contents, Sinks
from libs.identity.addresses import ForwardedHeader
from libs.outbound.addresses import Reachable

CONFIG_VARIABLE = "SLUICE_CONFIG"
DEFAULT_FILE = Path(__file__).with_name("default.yaml")


class Limits(Section):
    """What one request, and one client, may take."""

    body_bytes: int = Field(default=20 * 1024 * 1024, ge=1024, le=30 * 1024 * 1024)
    anonymous_body_bytes: int = Field(default=1024 * 1024, ge=1024)
    """Of a request without a key."""
    bodies_bytes: int = Field(default=256 * 1024 * 1024, ge=1024 * 1024)
    """Of all bodies that are on their way into one ingress: a quarter for one owner, a sixteenth for the keyless."""
    connections_of_address: int = Field(default=1_024, gt=0)
    """To one ingress, where no proxy stands before it."""
    free_requests: int = Field(default=200, ge=0)
    free_window_s: int = Field(default=3600, gt=0)
    stored_responses: int = Field(default=1_000, ge=0)
    """Of one owner, who asks for it with ``store: true``; the oldest make way."""
    stored_bytes: int = Field(default=64 * 1024 * 1024, ge=0)
    """Of all of these, packed and sealed."""
    idempotency_keys: int = Field(default=20_000, ge=1)
    """Of one owner, within a day; the oldest make way."""
    in_flight: int = Field(default=10_000, gt=0)
    """Of one ingress; beyond it clients are asked to come again."""
    output_tokens: int = Field(default=16_384, gt=0)
    """Of an answer where neither client nor model sets a limit: credit is reserved for it, so there must be one."""
    wait_s: float = Field(default=3, ge=0, le=10)
    """How long a request that lacks only what its owner's other requests hold waits for them to settle."""
    waiting: int = Field(default=200, ge=0, le=10_000)
    """How many of one owner's requests may wait."""
    account: Meters = {}
    """Of each account in its own context."""
    organization: Meters = {}
    """Of each organization, all members together."""
    member: Meters = {}
    """Of each member in the context of an organization."""
    team: Meters = {}
    """Of each team of an organization."""
    key: Meters = {}
    """Of each key; in the context of an organization apart from its account's own."""
    model: Meters = {}
    """Of each model, for one account or organization."""
    key_model: Meters = {}
    """Of each model of each key."""


class Overload(Section):
    """How an ingress that is asked for more than the gateway can do shares what it can."""

    weights: dict[str, Annotated[float, Field(gt=0)]] = {}
    """By owner, ``acct:<id>`` or ``org:<id>``, and ``anonymous`` for all without a key together; else 1."""


class Billing(Section):
    """Who pays when."""

    prepaid: bool = True
    """Refuse what the owner's credit does not cover. Without it only daily limits hold, and balances go below 0."""
    buy_credits_url: str | None = None
    """Sent to clients without credit, as ``metadata.buyCreditsUrl``."""


class AnswerCaching(Section):
    """Answers that are given again to the same request of the same owner."""

    enabled: bool = False
    """For every request that does not say otherwise; else for those that ask."""
    ttl_s: int = Field(default=3600, gt=0, le=MOST_TTL_S)
    """Where the client names none."""
    cost_percent: int = Field(default=0, ge=0, le=100)
    """Of what the answer would have cost, charged for one that is given again."""
    entry_bytes: int = Field(default=1024 * 1024, ge=1024, le=2 * 1024 * 1024)
    """A longer answer is not kept."""
    relay_bytes: int = Field(default=64 * 1024 * 1024, ge=0)
    """That one relay keeps, packed and sealed: a quarter of it for one owner."""


class Batches(Section):
    """Files, and batches of requests that run when there is little else to do."""

    at_once: int = Field(default=8, ge=0, le=1_000)
    """Lines of all batches that one ingress has under way; 0: this ingress runs none."""
    lease_s: float = Field(default=30, gt=0)
    """After so long another ingress goes on with a batch whose ingress has died."""
    lines: int = Field(default=50_000, gt=0)
    """Of one batch."""
    unfinished: int = Field(default=10, ge=0)
    """Batches of one owner."""
    file_bytes: int = Field(default=100 * 1024 * 1024, gt=0)
    """Of one file."""
    stored_bytes: int = Field(default=512 * 1024 * 1024, ge=0)
    """That the log holds of one owner's files, packed: of a month, and of deleted ones, too."""
    files: int = Field(default=1_000, ge=0)
    """Of one owner."""


class Breaker(Section):
    """When a provider is left alone for a while, and when it is tried again."""

    failures: int = Field(default=10, gt=0)
    """Of calls within the window; fewer prove nothing."""
    ratio: float = Field(default=0.5, gt=0, le=1)
    """The share of calls that fail."""
    window_s: float = Field(default=30, gt=0)
    open_s: float = Field(default=10, gt=0)
    """Until a request is sent to see whether it is well again."""


class Routing(Section):
    """Which of a model's providers is asked first, where the client has no preference."""

    sort: ProviderSort = ProviderSort.PRICE
    breaker: Breaker | None = Breaker()
    """None: providers are taken to be well whatever happens."""
    retries: int = Field(default=0, ge=0, le=MOST_RETRIES)
    """Where all providers of a request have failed, and none can have run it; a client may ask for others."""


class Timeouts(Section):
    """Seconds."""

    route_s: float = Field(default=15, gt=0)
    """From admission to a route."""
    request_s: float = Field(default=600, gt=0)
    """From admission to the last byte."""
    body_idle_s: float = Field(default=10, gt=0)
    """Between two pieces of a request's body."""
    body_s: float = Field(default=60, gt=0)
    """From a request's headers to the end of its body."""
    connect_s: float = Field(default=10, gt=0)
    first_byte_s: float = Field(default=120, gt=0)
    idle_s: float = Field(default=60, gt=0)
    """Between two reads of a provider's stream."""
    leave_s: float = Field(default=2, ge=0, le=60)
    """How long an answer is read on after its client has left, so that one that is nearly whole brings its counts."""
    publish_s: float = Field(default=6, gt=0)
    """Until the log has an admitted request; then the client gets a 503, and at once where no broker answers."""


class Telemetry(Section):
    """Which requests are traced, where the client sends no ``traceparent``."""

    sample_ratio: float = Field(default=0.05, ge=0, le=1)


class McpSettings(Section):
    """Servers of MCP that users register: what they may take of the gateway."""

    networks: list[str] = []
    """In CIDR notation (``10.1.0.0/16``): where servers may be beside the open internet. Read by relays and console."""
    call_s: float = Field(default=60, gt=0, le=3600)
    """Of one call, until its answer is whole; no more than ``timeouts.request_s``."""
    list_s: float = Field(default=10, gt=0, le=60)
    """Of one server's list of tools; one that takes longer is left out."""
    answer_bytes: int = Field(default=4 * 1024 * 1024, ge=1024, le=16 * 1024 * 1024)
    servers: int = Field(default=32, gt=0, le=64)
    """Of one account or organization."""

    @field_validator("networks")
    @classmethod
    def _are_networks(cls, value: list[str]) -> list[str]:
        Reachable(value)
        return value


StandIns = Annotated[list[str], Field(max_length=MOST_STAND_INS)]


class HasCatalog(Protocol):
    """What a catalog is made of: a `GatewayConfig`, or the document of a version."""

    @property
    def providers(self) -> dict[str, Provider]: ...
    @property
    def models(self) -> list[Model]: ...
    @property
    def auto(self) -> dict[str, AutoModel]: ...
    @property
    def fallbacks(self) -> dict[str, StandIns]: ...
    @property
    def defaults(self) -> Defaults: ...
    @property
    def limits(self) -> Limits: ...
    @property
    def billing(self) -> Billing: ...
    @property
    def routing(self) -> Routing: ...


class GatewayConfig(BaseSettings):
    """Everything that an operator writes down. Services read it at start; none of it is secret."""

    model_config = SettingsConfigDict(
        env_prefix="SLUICE_",
        env_nested_delimiter="__",
        extra="ignore",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    file: ClassVar[Path | None] = None
    """Read instead of what ``SLUICE_CONFIG`` names; see `load_config`."""

    providers: dict[str, Provider] = {}
    models: list[Model] = []
    auto: dict[str, AutoModel] = {}
    """By the name that clients use."""
    fallbacks: dict[str, StandIns] = {}
    """By model: those that stand in where it fails, is at its limit, is too small, or its filter refuses; for clients
    that name no `models` and do not forbid it."""
    defaults: Defaults = Defaults()
    limits: Limits = Limits()
    overload: Overload = Overload()
    timeouts: Timeouts = Timeouts()
    billing: Billing = Billing()
    answer_cache: AnswerCaching = AnswerCaching()
    batches: Batches = Batches()
    routing: Routing = Routing()
    mcp: McpSettings = McpSettings()
    telemetry: Telemetry = Telemetry()
    provider_addresses: list[str] = []
    """Origins (``https://api.example.com``) that a later version of the catalog may use beside those of this file's
    providers and of `default.yaml`; ``*``: any. See `libs.config.pins`."""
    sinks: Sinks = {}
    """By name. Read by the service ``sinks`` alone."""
    alerts: AlertRules = AlertRules()
    contents: Contents = Contents()
    trusted_proxies: int = Field(default=0, ge=0)
    """How many proxies of yours stand before ingress and console, one behind the other, and append to
    ``forwarded_header``."""
    forwarded_header: ForwardedHeader = "x-forwarded-for"
    """The one header that they append to; what is in the other is the client's, and is not read."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        path = cls.file or os.environ.get(CONFIG_VARIABLE) or DEFAULT_FILE
        return init_settings, env_settings, YamlConfigSettingsSource(settings_cls, yaml_file=path)

    @model_validator(mode="after")
    def _references_exist(self) -> "GatewayConfig":
        for _where, problem in broken_references(self):
            raise ValueError(problem)
        return self


DocumentPath = tuple[str | int, ...]
"""To a place in the document: names and indexes."""


def broken_references(config: "HasCatalog") -> Iterator[tuple[DocumentPath, str]]:
    """Where parts of a catalog name others that there are not, or name something twice; and what is wrong."""
    seen: set[str] = set()
    offered: set[tuple[str, str]] = set()
    for index, model in enumerate(config.models):
        if model.provider not in config.providers:
            known = ", ".join(sorted(config.providers))
            reason = f"model {model.id}: unknown provider {model.provider!r}; there are: {known}"
            yield ("models", index, "provider"), reason
        if (model.id, model.provider) in offered:
            yield ("models", index, "id"), f"model {model.id} is listed twice for the provider {model.provider}"
        offered.add((model.id, model.provider))
        seen.add(model.id)
    for name, auto in config.auto.items():
        if unknown := sorted(auto.models.keys() - seen):
            yield ("auto", name), f"auto {name}: there is no model {', '.join(unknown)}"
        if name in seen:
            yield ("auto", name), f"auto {name}: this is the ID of a model"
    for name, stand_ins in config.fallbacks.items():
        if unknown := sorted({name, *stand_ins} - seen):
            yield ("fallbacks", name), f"fallbacks {name}: there is no model {', '.join(unknown)}"
        if any(is_free(one) is not is_free(name) for one in stand_ins):
            yield ("fallbacks", name), f"fallbacks {name}: free models and others do not stand in for each other"
    for name in sorted(config.defaults.models - seen - config.auto.keys()):
        yield ("defaults",), f"defaults: there is no model {name}"


def load_config(path: Path | None) -> GatewayConfig:
    """The configuration of a file (None: as a service finds it) with this process's environment over it.

    Raises:
        pydantic.ValidationError: it is not right.
        yaml.YAMLError: it is not YAML.
    """

    class OfFile(GatewayConfig):
        file: ClassVar[Path | None] = path

    return OfFile()
