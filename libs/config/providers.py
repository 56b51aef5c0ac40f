"""Providers, their models and prices, as the configuration has them."""

import re
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from contracts.quantities import Unit
from contracts.requests import Surface, is_free
from libs.config.description import Description
from libs.config.meters import Meters
from libs.config.section import Section
from libs.config.web_address import BaseAddress, WebAddress
from libs.limits.catalog import METERS

UsdPerToken = Annotated[Decimal, Field(ge=0)]
MODEL_ID = r"^[^\s/]+(/[^\s/]+)+$"
UnitKind = Annotated[str, Field(pattern=rf"^({'|'.join(Unit)})(/[a-z0-9_.-]{{1,40}}){{0,4}}$")]
"""A unit, or one kind of it: ``image``, ``image/hd``, ``image/hd/1024x1792``."""
_STUB_KEY = "env:SLUICE_STUB_KEY"
_ENV_REFERENCE = re.compile(r"^env:([A-Za-z_][A-Za-z0-9_]*)$")


class Pricing(Section):
    """USD per token or other unit, as decimal strings, so that no float ever touches money.

    Kinds of tokens without a price of their own are priced as ``prompt`` or ``completion``.
    """

    prompt: UsdPerToken | None = None
    completion: UsdPerToken | None = None
    cache_read: UsdPerToken | None = None
    cache_write: UsdPerToken | None = None
    reasoning: UsdPerToken | None = None
    input_image: UsdPerToken | None = None
    output_image: UsdPerToken | None = None
    input_audio: UsdPerToken | None = None
    output_audio: UsdPerToken | None = None
    units: dict[UnitKind, UsdPerToken] = {}
    """USD per unit. The most particular kind that fits holds; what is asked for by default has the unit's own price."""

    @field_validator("*")
    @classmethod
    def _countable(cls, value: object) -> object:
        for one in value.values() if isinstance(value, dict) else (value,):
            if isinstance(one, Decimal) and (one * 10**12) % 1:
                raise ValueError("at most 12 decimal places: the ledger counts microdollars per million tokens")
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _no_floats(cls, value: object) -> object:
        if isinstance(value, dict):
            return {kind: cls._no_floats(one) for kind, one in value.items()}
        return str(value) if isinstance(value, float) else value

    @model_validator(mode="after")
    def _tokens_or_units(self) -> "Pricing":
        if (self.prompt is None) != (self.completion is None) or (self.prompt is None and not self.units):
            raise ValueError("needs both `prompt` and `completion`, or `units`")
        return self


ProtocolName = Literal["openai-chat", "openai-responses", "anthropic-messages", "gemini", "bedrock-converse"]
Thinking = Literal["budget", "adaptive"]
Continues = Literal["prefill", "prefix", "partial", "continue_final_message"]
Encoding = Literal["o200k", "cl100k"]
"""How text becomes tokens: OpenAI's since GPT-4o, and that of GPT-4, GPT-3.5 and embeddings."""
_OWN_SURFACES: dict[ProtocolName, Surface] = {
    "openai-chat": Surface.CHAT_COMPLETIONS,
    "openai-responses": Surface.RESPONSES,
    "anthropic-messages": Surface.MESSAGES,
}
"""What a protocol is to a client that speaks it, too."""


def _checked_reference(value: str) -> str:
    if not _ENV_REFERENCE.match(value):
        raise ValueError("must be env:NAME, the name of the environment variable that holds the key")
    if value.startswith("env:SLUICE_") and value != _STUB_KEY:
        # Whoever may change the catalog must not have the vault send its own secrets to an address of theirs.
        raise ValueError("must not name a variable of Sluice itself")
    return value


class WeightedKey(Section):
    """One of several keys of a provider."""

    key: Annotated[str, AfterValidator(_checked_reference)]
    """``env:NAME``."""
    weight: float = Field(default=1, gt=0)
    """How many tasks use it, beside the others; that of ``api_key`` is 1."""
    quota: Meters = {}
    """What all requests together may use it for, by the meters of limits (``usd_per_day``); then others are used."""

    @field_validator("quota")
    @classmethod
    def _of_a_window(cls, value: dict[str, int]) -> dict[str, int]:
        if unfit := sorted(name for name in value if METERS[name].window is None):
            raise ValueError(f"{', '.join(unfit)}: a key's quota is of a minute, hour, day, week or month")
        return value


class Provider(Section):
    """A company, or a machine of yours, that runs models."""

    name: str = ""
    protocol: ProtocolName = "openai-chat"
    platform: Literal["vertex", "azure"] | None = None
    """A cloud that has addresses and keys of its own: Vertex AI (service accounts; ``{project}`` in ``base_url`` is
    theirs) or Azure OpenAI (``{resource}`` is that of a key that names one)."""
    token_url: WebAddress = "https://oauth2.googleapis.com/token"  # noqa: S105
    """Where service accounts get their access tokens."""
    native: list[Literal["responses", "completions"]] = []
    """Surfaces beside its protocol that the provider has itself; their requests are passed on unchanged."""
    base_url: BaseAddress
    api_key: str | None = None
    """``env:NAME``: the vault reads it from its own environment. Never the key itself."""
    api_keys: Annotated[list[WeightedKey], Field(max_length=32)] = []
    """More keys. One that the provider refuses or limits rests for a while, and another is used."""
    max_tokens_field: str = "max_tokens"
    """How the provider calls the limit of an answer's tokens."""
    stream_usage: bool = True
    """The provider wants to be asked for the counts of a stream; others give them anyway, or never."""
    renamed: dict[str, str] = {}
    """Fields of chat completions that the provider calls otherwise."""
    unsupported: list[str] = []
    """Fields that the provider refuses: they are left out, and listed in ``x-sluice-dropped``."""
    lacks: list[Surface] = []
    """Surfaces of its protocol that the provider does not have."""
    fields: list[str] = []
    """All fields of chat completions that the provider takes, where it refuses one that has others; empty: any."""
    extras: list[str] = []
    """What makes the provider dearer and is passed on with the gateway's own key all the same: names of fields, types
    of hosted tools, ``file_id``; see `libs.pricing.surcharges`."""
    message_fields: list[str] = []
    """The same of each message."""
    thinking: Thinking = "budget"
    """How Claude's thinking is switched on: by a budget of tokens, or (from 4.6 on) by an effort alone."""
    tool_call_ids: Literal["anthropic", "mistral"] | None = None
    """The form that the provider demands of tool calls' IDs; None: any."""
    cache_key_field: str | None = None
    """Where the provider takes a key that requests with a common beginning share; None if it takes none."""
    user_field: str | None = None
    """Where the provider takes an identifier of its customer's user; None if it takes none."""
    prices: str | None = None
    """The provider's ID in genai-prices."""
    key_begins: list[str] = []
    """How its keys begin today; another one is stored, with a hint."""

    @field_validator("api_key")
    @classmethod
    def _only_a_reference(cls, value: str | None) -> str | None:
        return None if value is None else _checked_reference(value)

    def speaks(self, surface: Surface) -> bool:
        """The provider takes requests of the surface as they are; others must be translated for it."""
        return _OWN_SURFACES.get(self.protocol) is surface or surface.value in self.native

    @property
    def may_have_flex(self) -> bool:
        """Its protocol has ``service_tier: flex``."""
        return self.protocol != "anthropic-messages" and self.platform != "vertex"

    @property
    def may_think(self) -> bool:
        """Its models may generate what they do not show."""
        return "reasoning" not in self.unsupported

    @property
    def api_key_variables(self) -> list[tuple[str, float]]:
        """The environment variables that hold the gateway's own keys, with their weights."""
        first = [(self.api_key, 1.0)] if self.api_key else []
        more = [(one.key, one.weight) for one in self.api_keys]
        return [(reference.removeprefix("env:"), weight) for reference, weight in (*first, *more)]

    @property
    def quotas(self) -> dict[str, dict[str, int]]:
        """The quotas of those keys that have some, by environment variable."""
        return {one.key.removeprefix("env:"): one.quota for one in self.api_keys if one.quota}

    @property
    def api_key_variable(self) -> str | None:
        """The environment variable that holds the gateway's own key."""
        return self.api_key.removeprefix("env:") if self.api_key else None


class Model(Description):
    """A model as clients name it, and where it runs.

    One that runs at several providers is listed once for each, with the same ID; `Routing` orders them.
    """

    id: str = Field(pattern=MODEL_ID)
    provider: str
    upstream_model: str
    pricing: Pricing | None = None
    """None: from genai-prices. Models whose ID ends in ``:free`` cost nothing whatever stands here."""
    protocol: ProtocolName | None = None
    """Where the provider has this model behind another protocol than its others."""
    unsupported: list[str] = []
    """Beside the provider's own."""
    thinking: Thinking | None = None
    """Where it differs from the provider's."""
    max_output_tokens: int | None = Field(default=None, gt=0)
    """Of an answer whose client sets no limit; None: ``limits.output_tokens``."""
    data_collection: Literal["allow", "deny"] = "deny"
    """``allow``: its provider keeps what it is sent, so policies that deny data collection exclude it."""
    surfaces: list[Surface] = []
    """All that it can be asked on; empty: whatever its provider has."""
    continues: Continues | None = None
    """How the model goes on with an answer that it is given the beginning of, word for word. With it, what is missing
    of a stream whose relay died is asked for, and paid for; None: such a stream ends with an error.

    ``prefill``: the last message is the assistant's (Claude up to 4.5, OpenRouter). ``prefix``: that message is marked
    so (DeepSeek's ``/beta``), ``partial`` likewise (Moonshot). ``continue_final_message``: the request is (vLLM).
    """
    flex_percent: int | None = Field(default=None, ge=0, le=100)
    """The provider runs the model for so much of its price when it has room (``service_tier: flex``): lines of batches
    are sent so. None: it does not."""
    counted_by: Encoding | None = None
    """What the model certainly counts its text with: credit is then reserved by tokens, and prompts may be tokens.
    None: it is not known, and bytes count."""

    @property
    def free(self) -> bool:
        """Anonymous clients may use it, and nobody pays for it."""
        return is_free(self.id)

    def adapt(self, provider: Provider) -> Provider:
        """The provider with this model's own protocol, unsupported fields and thinking."""
        return provider.model_copy(
            update={
                "protocol": self.protocol or provider.protocol,
                "unsupported": [*provider.unsupported, *self.unsupported],
                "thinking": self.thinking or provider.thinking,
            }
        )
