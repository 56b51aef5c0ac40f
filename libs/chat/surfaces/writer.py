"""What every surface must have, and what they share. Sans-I/O.

Chat completions are the common tongue: a request of another surface is translated into one, and a stream of chat chunks
into that surface's events.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, cast

from libs.chat.exact_json import decode, encode
from libs.chat.shapes.completion import ChatRequest, Chunk, Completion, Delta, JsonObject, Part, ToolCall, ToolChoice


class SurfaceError(Exception):
    """The client's request cannot be translated; the message is for the client."""


@contextmanager
def clients_shape() -> Iterator[None]:
    """Makes what fails for the shape of a client's JSON a `SurfaceError`.

    A client may send a number for a list anywhere; each reader asks only for what it needs, and not for its type.
    """
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise SurfaceError("a field is not of the form that the API's reference gives it.") from error


class Writer(Protocol):
    """Writes one stream for a client."""

    def chunk(self, chunk: Chunk) -> str:
        """The events that one chat chunk becomes; often one, sometimes none."""

    def finish(self, tail: Chunk | None) -> str:
        """The last events. ``tail`` is the chunk with the usage and no choices, where there is usage."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one surface is translated to chat completions and back."""

    to_chat: Callable[[JsonObject], ChatRequest]
    """Raises `SurfaceError`. Here, and in the two that follow, the client's body gets the shape of its surface."""
    whole: Callable[[Completion, JsonObject], Mapping[str, object]]
    """An answer that is not streamed, given the chat completion and the client's body."""
    writer: Callable[[str, JsonObject], Writer]
    """Of a stream, given the model as the client named it, and the client's body."""
    error_event: Callable[[str, int, str], str]
    """An error after the first byte: of its message and HTTP status, and the events that were sent last."""
    understood: frozenset[str] = frozenset()
    """Fields of a request that have an effect, or need none; empty: all."""
    left_out: Callable[[JsonObject], set[str]] = lambda _body: set()
    """What else of a request has no form in a chat completion, by the names in ``x-sluice-dropped``."""


def data_event(content: Mapping[str, object]) -> str:
    """A server-sent event without a name."""
    return f"data: {encode(content)}\n\n"


def named_event(content: Mapping[str, object]) -> str:
    """A server-sent event that is named by its own ``type``."""
    return f"event: {content['type']}\n{data_event(content)}"


def text_of(content: object) -> str:
    """The text of a message's content, of whatever form."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return ""


def parts_in(content: object) -> list[Part]:
    """The parts of a message's content that has some."""
    given = content if isinstance(content, list) else []
    return [cast("Part", part) for part in given if isinstance(part, dict)]


def reasoning_of(message: Delta) -> str:
    """What a model thought, as providers of chat completions name it."""
    for text in (message.get("reasoning_content"), message.get("reasoning")):
        if isinstance(text, str):
            return text
    return ""


def name_of(call: ToolCall | ToolChoice) -> str | None:
    """The name of the function that a tool call, or a choice of tool, is about."""
    return (call.get("function") or {}).get("name")


def image_url_of(part: Part) -> str:
    """The address of an ``image_url`` part, which may be a ``data:`` URL."""
    return address_of(part.get("image_url"))


def address_of(held: object) -> str:
    """The address of an image or a video, which stands alone or in an object."""
    return str(held.get("url") if isinstance(held, dict) else held)


def inline_data(url: str) -> tuple[str, str] | None:
    """Media type and base64 of a ``data:`` URL; None for any other."""
    if not url.startswith("data:"):
        return None
    media_type, _, data = url.removeprefix("data:").partition(";base64,")
    return media_type, data


def arguments_of(call: ToolCall) -> JsonObject:
    """A tool call's arguments as an object; what is no JSON object is kept under ``_raw``."""
    text = (call.get("function") or {}).get("arguments") or "{}"
    try:
        found = decode(text)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"_raw": text}


def is_list_of_objects(value: object) -> bool:
    """True for a list of objects, the empty one included."""
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)
