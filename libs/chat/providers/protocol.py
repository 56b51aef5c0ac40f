"""What a protocol adapter is: requests in, bytes out; bytes in, chat completions out. Sans-I/O.

Chat completions are the common tongue; every adapter translates them to one protocol and back.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ParamSpec, Protocol, TypeVar

from contracts.requests import Surface
from contracts.usage import TokenUsage
from libs.chat.exact_json import decode, decode_piece
from libs.chat.providers.identifiers import Identifiers
from libs.chat.shapes.completion import ChatRequest, Chunk, JsonObject
from libs.config.providers import Provider

NOBODY = Identifiers()
P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
EVENT_BYTES = 8 * 1024 * 1024
"""The most of one event. None comes near it, and a stream that never ends one would fill the memory."""


class ProtocolError(Exception):
    """The provider's bytes are not of the protocol."""


def of_shape(read: Callable[P, R]) -> Callable[P, R]:
    """Makes what fails for the shape of a provider's JSON a `ProtocolError`.

    A provider may send a list for an object anywhere; each reader asks only for what it needs, and not for its type.
    """

    # Each request makes some of these: without `functools.wraps`, and without looking its annotations up.
    def reading(*args: "P.args", **kwargs: "P.kwargs") -> R:
        try:
            return read(*args, **kwargs)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise ProtocolError("it is not of the protocol's shape") from error

    return reading


class ProviderFailure(Exception):
    """The provider's answer, or an event of its stream, is an error."""

    def __init__(self, error: object) -> None:
        """Takes the provider's error, of whatever form; what it says of itself becomes the message."""
        message = error.get("message") if isinstance(error, dict) else error
        super().__init__(message if isinstance(message, str) and message else "it gave no reason")


@dataclass(frozen=True, slots=True)
class Call:
    """A client's request on its way to a provider's model."""

    surface: Surface
    body: JsonObject
    model: str
    """The name that the client knows."""
    upstream_model: str
    streamed: bool
    cap_tokens: int | None
    """The limit of the answer that the provider is sent; None where the client set one, or pays the provider itself."""
    most_tokens: int
    """The limit where the protocol wants one and nobody set any."""
    created_s: int
    """The time of the answer, where the provider tells none (epoch)."""
    cache: bool = False
    """Requests with the same beginning will follow."""
    identifiers: Identifiers = NOBODY
    headers: Mapping[str, str] = field(default_factory=dict)
    """Of the client, that some provider may be sent; by lower-case name."""
    flex: bool = False
    """The provider is asked for it in its tier for less, ``service_tier: flex``."""
    answer_id: str | None = None
    """The ID of the chat completion that the client gets; None: the provider's."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What is sent to the provider."""

    path: str
    """Added to the provider's base URL."""
    content: bytes
    dropped: tuple[str, ...] = ()
    """Fields and headers of the client's request that the protocol lacks, or the provider does not take."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Of the client, for the provider."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A whole answer with what the books need of it."""

    answer: Mapping[str, object]
    """A chat completion; of what passes as it is, the provider's own."""
    usage: TokenUsage | None
    delivered_bytes: int


@dataclass(frozen=True, slots=True)
class Addressed:
    """Where a request goes, and the headers that prove who sends it."""

    url: str
    headers: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Addressed(url={self.url!r}, headers=<{len(self.headers)}>)"


class Reader(Protocol):
    """Reads one stream, event by event, as chat chunks. The usage is held back for the `tail`."""

    done: bool
    """The provider has sent its last event."""
    finished: bool
    """The model has come to its end; only counts may follow."""

    @property
    def usage(self) -> TokenUsage | None:
        """The provider's counts, once they are complete."""

    def read(self, data: str) -> list[Chunk]:
        """Takes one event's JSON; returns the chunks for the client, often one.

        Raises:
            ProtocolError: it makes no sense.
            ProviderFailure: it is an error.
        """

    def tail(self, counted: TokenUsage | None) -> Chunk | None:
        """The chunk with the usage and no choices. ``counted`` is our own count, where the provider gave none."""


class Framing(Protocol):
    """Cuts a stream's bytes into events."""

    def feed(self, data: bytes) -> list[str]:
        """The JSON of each event that is whole now.

        Raises:
            ProtocolError: the bytes are damaged, or an event is larger than any should be.
        """


@dataclass(frozen=True, slots=True)
class Adapter:
    """One protocol."""

    build: Callable[[ChatRequest, Call, Provider], Outgoing]
    """A chat completion's request, without what the provider does not support.

    Raises `libs.chat.surfaces.writer.SurfaceError` where it cannot be translated at all.
    """
    parse: Callable[[bytes, Call], Parsed]
    """An answer that was not streamed, as a chat completion. Raises ProtocolError, ProviderFailure."""
    reader: Callable[[Call], Reader]
    framing: Callable[[], Framing]
    authorize: Callable[[str, str, bytes], Addressed]
    """Of a key, the URL and the content of a POST. A key that is empty gives no proof."""
    check: Callable[[str, str], Addressed]
    """Of a key and a base URL: what a GET asks to learn whether the key is taken. Costs nothing."""
    tool_call_ids: str | None = None
    """The form that the protocol demands of tool calls' IDs, see `libs.chat.providers.tool_calls`."""
    content: frozenset[str] | None = None
    """Types of parts of a message that the protocol has beside text; None: messages pass as they are."""


def parse_object(data: bytes) -> JsonObject:
    """The JSON object of a whole answer: its reader gives it the protocol's shape. Raises ProtocolError."""
    return _object(decode, data)


def parse_event(data: str) -> JsonObject:
    """The JSON object of a stream's event, whose texts may end in half a character. Raises ProtocolError."""
    return _object(decode_piece, data)


def _object(decode_: Callable[[T], object], data: T) -> JsonObject:
    try:
        found = decode_(data)
    except ValueError:
        raise ProtocolError("the answer is not JSON") from None
    if not isinstance(found, dict):
        raise ProtocolError("the answer is not an object")
    return found


def bearer(key: str, url: str, _content: bytes) -> Addressed:
    """The key as a bearer token, as most providers take it."""
    return Addressed(url, {"Authorization": f"Bearer {key}"} if key else {})


def ask_for_models(key: str, base_url: str) -> Addressed:
    """The list of models, which most providers have."""
    return bearer(key, base_url + "/models", b"")
