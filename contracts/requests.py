"""``gateway.requests.v1``: what the ingress let in. Never the prompt."""

from typing import Annotated, Any

from pydantic import Field

from .answers import CacheUse
from .labels import Labels
from .mcp import ToolName
from .quantities import Quantity
from .record import EpochMs, Record, ReplyAddress, RequestRecord, Subject, Value, empty
from .word import Word

MOST_STAND_INS = 8
MOST_RETRIES = 5
FIM_MOST_TOKENS = 1_000
"""Of a fill-in-the-middle answer."""


class Surface(Word):
    """The API that the client spoke."""

    CHAT_COMPLETIONS = "chat.completions"
    RESPONSES = "responses"
    MESSAGES = "messages"
    EMBEDDINGS = "embeddings"
    FIM = "fim.completions"
    COMPLETIONS = "completions"
    MODERATIONS = "moderations"
    IMAGE_GENERATIONS = "images.generations"
    IMAGE_EDITS = "images.edits"
    TRANSCRIPTIONS = "audio.transcriptions"
    SPEECH = "audio.speech"
    RERANK = "rerank"
    MCP = "mcp"
    """Tools of the servers that its owner registered; see docs/mcp.md."""


class ProviderSort(Word):
    """By what the providers of a model are put in order."""

    PRICE = "price"
    LATENCY = "latency"
    THROUGHPUT = "throughput"
    CONFIGURED = "configured"


class Caller(Value):
    """Who asks. All of it is empty for an anonymous client, who is known by IP address alone."""

    account_id: str | None = None
    organization_id: str | None = None
    role: str | None = None
    key_fingerprint: str | None = None
    ip: str | None = None

    @property
    def owner(self) -> str:
        """Whose credit and keys a paid request uses: the organization's in its context, else the account's own."""
        return f"org:{self.organization_id}" if self.organization_id else f"acct:{self.account_id}"


class Voucher(Value):
    """What the console said of the token that a request came with, signed; no token can be made of it."""

    kid: str
    """Of the signing key."""
    jti: str
    organization_id: str | None = None
    """Of an organization's token."""
    token_epoch: Annotated[int, Field(ge=0)]
    expires_at_s: Annotated[int, Field(ge=0)]
    signature: str = ""
    """Ed25519 in base64, over these and the account; see `libs.identity.vouchers`."""


def is_free(model: str) -> bool:
    """Anybody may ask for the model, and nobody pays."""
    return model.endswith(":free")


class RequestFacts(RequestRecord):
    """What the ledger keeps of a request, whatever becomes of it: who asked for what, when, and by which catalog."""

    subject: Subject
    caller: Caller
    surface: Surface
    model: str
    catalog_version: Annotated[int, Field(ge=1)]
    """Of the catalog that it was accepted under: models, providers, prices."""
    accepted_at_ms: EpochMs
    task_id: str | None = None
    client_version: str | None = None
    mode: str | None = None
    labels: Labels | None = None

    @property
    def free(self) -> bool:
        """Anybody may ask, and nobody pays. It follows from the model: whoever writes the record cannot choose it."""
        return is_free(self.model)


class AddressedRequest(RequestFacts):
    """And where its client waits."""

    reply_to: ReplyAddress


class CallableRequest(AddressedRequest):
    """And what a provider's call needs beside the prompt."""

    stream: bool
    deadline_ms: EpochMs
    """The whole answer must be out by then."""
    prompt_bytes: Annotated[int, Field(ge=0)]
    cap_tokens: Annotated[int, Field(ge=1)] | None = None
    """The provider's limit where the client asked for none."""
    input_tokens_most: Annotated[int, Field(ge=0)] = 0
    output_tokens_most: Annotated[int, Field(ge=0)] = 0
    """Over all choices."""
    effort: str | None = None
    """How much the model is to think, where the client leaves it open; of a model that was chosen for them."""
    verbosity: str | None = None
    """How much it is to say, likewise."""
    retries: Annotated[int, Field(ge=0, le=MOST_RETRIES)] = 0
    """How often all targets are asked again where each has failed before its first byte."""
    retries_run: bool = False
    """Also where a provider may have run the request: its client pays twice."""
    patient: bool = False
    """Nobody waits for it: a provider may run it when it has room, where that costs less."""
    cache: CacheUse | None = None
    upstream_headers: dict[str, str] = empty(dict)
    """The client's headers that are for the provider, as its reference has them (``anthropic-beta``)."""


_CARRIED: dict[tuple[type, type], tuple[str, ...]] = {}


def carried(request: RequestFacts, kind: type[RequestFacts]) -> dict[str, Any]:
    """The fields that another record about the request has in common with this one.

    Args:
        kind: of the records above; of the other record, or of what it extends.
    """
    pair = type(request), kind
    names = _CARRIED.get(pair)
    if names is None:
        names = _CARRIED[pair] = tuple(name for name in kind.model_fields if name in type(request).model_fields)
    values = request.__dict__
    return {name: values[name] for name in names}


class RequestAccepted(CallableRequest):
    """A request that was authenticated, is well-formed, and will have exactly one outcome."""

    voucher: Voucher | None = None
    """For the caller; None: it came without a token."""
    asked_model: str | None = None
    """What the client named, where that stands for another (``kilo-auto/*``)."""
    stand_ins: Annotated[list[str], Field(max_length=MOST_STAND_INS)] = empty(list)
    """Models that answer where those before them cannot, in this order."""
    provider_order: list[str] = empty(list)
    """Providers that the client wants asked first, in this order."""
    provider_only: list[str] = empty(list)
    """The client wants no others than these; empty: any."""
    provider_ignore: list[str] = empty(list)
    """The client wants none of these."""
    provider_sort: ProviderSort | None = None
    """How the client wants them ordered; None: as the gateway's operator does."""
    deny_data_collection: bool = False
    """The client wants no provider that keeps what it is sent."""
    allow_fallbacks: bool = True
    """Another provider may be asked where the first fails before its first byte."""
    route_by_ms: EpochMs
    """A request without a route by then is failed."""
    quantities_most: list[Quantity] = empty(list)
    """Of other units than tokens."""
    prompt_waits: bool = False
    """Its prompt is large: the ingress publishes it when the router asks for it (`contracts.replies.PromptWanted`), so
    that of a request that is refused none is on the log."""
    tool: ToolName | None = None
    """Of the MCP server that is the model; None: the tools of all servers are asked for."""

    @property
    def chooses(self) -> bool:
        """The client leaves providers out."""
        return bool(self.provider_only or self.provider_ignore or self.deny_data_collection)


class KeyUsed(Record):
    """``gateway.key-uses.v1``: an API key was used; published at most once a minute by each ingress."""

    key_fingerprint: str
    used_at_ms: EpochMs

    @property
    def event_subject(self) -> str:
        return self.key_fingerprint

    @property
    def event_id(self) -> str:
        return f"{self.key_fingerprint}/{self.used_at_ms}"


class RequestCancelled(RequestRecord):
    """``gateway.cancellations.v1``: the client went away, or the ingress could not vouch for the request."""

    reason: str
    cancelled_at_ms: EpochMs


class ReplyRead(RequestRecord):
    """``gateway.cancellations.v1``: so much of a stream has been sent to its client, in all. Providers are read no
    faster than that, see `contracts.replies.STREAM_WINDOW`."""

    size: Annotated[int, Field(ge=0)]
    """Bytes of the `ReplyChunk`s."""
