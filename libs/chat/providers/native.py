"""Streams and answers that pass as they are: the provider speaks the client's own surface. Sans-I/O.

Nothing is translated, so nothing is lost; the model gets the name that the client knows, and usage is read on the way.
"""

from contracts.usage import TokenUsage, plausible
from libs.chat.providers.anthropic_messages.usage import parse_usage as parse_messages_usage
from libs.chat.providers.halves import EventJoiner
from libs.chat.providers.openai_responses.errors import raise_for
from libs.chat.providers.openai_responses.usage import parse_usage as parse_responses_usage
from libs.chat.providers.protocol import Parsed, ProtocolError, of_shape, parse_event, parse_object
from libs.chat.shapes.completion import JsonObject
from libs.chat.surfaces.registry import delivered_bytes
from libs.chat.surfaces.writer import data_event, named_event
from libs.chat.surrogates import may_have_halves


class NativeStream:
    """Events of a provider for a client of the same surface; the last ones are held back for `finish`."""

    def __init__(self, *, model: str, ends: tuple[str, ...], last: tuple[str, ...], closing: str = "") -> None:
        """
        Args:
            ends: the types of events from which on only counts follow.
            last: the types of the last event.
            closing: the type of a last event that brings nothing, if it is one.
        """
        self._model = model
        self._ends = ends
        self._last = last
        self._closing = closing
        self._held = ""
        self._counts: JsonObject = {}
        self._joiner = EventJoiner()
        self.delivered_bytes = 0
        self.done = False
        self.finished = False

    @property
    def usage(self) -> TokenUsage | None:
        """The provider's counts, once they are complete."""
        return _usage(self._counts) if self.finished else None

    @of_shape
    def event(self, data: str) -> str:
        """Takes the ``data`` of one event; returns what the client gets now. Raises as `ChatReader.read` does."""
        event = parse_event(data)
        kind = event.get("type")
        if kind == "error":
            raise_for(event)
        if kind and not (isinstance(kind, str) and kind.isascii() and kind.isprintable()):
            # It is written before the event: a line of its own could be another event.
            raise ProtocolError("an event has no name")
        for holder in (event, event.get("message"), event.get("response")):
            if isinstance(holder, dict):
                if isinstance(holder.get("usage"), dict):
                    self._counts |= {name: count for name, count in holder["usage"].items() if count is not None}
                if "model" in holder:
                    holder["model"] = self._model
        self.finished = self.finished or kind in (*self._ends, *self._last, "response.failed")
        if kind == "response.failed":
            raise_for(event)
        before = self._joiner.join(event) if self._joiner or may_have_halves(data) else ()
        text = "".join([named_event(one) if kind else data_event(one) for one in (*before, event)])
        self.delivered_bytes += delivered_bytes(text)
        self.done = kind in self._last
        if self.finished:
            self._held += text
            return ""
        return text

    def finish(self, _counted: TokenUsage | None) -> str:
        """The events that were held back, and the last one where the connection broke before it."""
        return self._held if self.done or not self._closing else self._held + named_event({"type": self._closing})


def messages_stream(model: str) -> NativeStream:
    """Of Anthropic's Messages."""
    return NativeStream(model=model, ends=("message_delta",), last=("message_stop",), closing="message_stop")


def responses_stream(model: str) -> NativeStream:
    """Of OpenAI's Responses."""
    return NativeStream(model=model, ends=(), last=("response.completed", "response.incomplete"))


def parse_response(data: bytes, *, model: str) -> Parsed:
    """An answer that was not streamed, of either surface, or of embeddings. Raises ProtocolError, ProviderFailure."""
    answer = parse_object(data)
    raise_for(answer)
    answer["model"] = model
    return Parsed(answer, _usage(answer.get("usage")), 0)


def _usage(usage: object) -> TokenUsage | None:
    """Of Messages, of Responses, or (``prompt_tokens`` alone) of embeddings."""
    if not isinstance(usage, dict):
        return None
    if "input_tokens_details" in usage or "output_tokens_details" in usage:
        return parse_responses_usage(usage)
    if "prompt_tokens" in usage:
        counts = usage["prompt_tokens"], usage.get("completion_tokens") or 0
        return TokenUsage(input_tokens=counts[0], output_tokens=counts[1]) if all(map(plausible, counts)) else None
    return parse_messages_usage(usage)
