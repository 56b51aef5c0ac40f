"""A call that goes on with a stream, and the client's view of it: one stream. Sans-I/O."""

from collections.abc import Callable
from dataclasses import replace

from contracts.requests import Surface
from contracts.usage import TokenUsage
from libs.chat.continuing.chat import CutChat
from libs.chat.continuing.cut import Cut, NotPlainError
from libs.chat.continuing.messages import CutMessage
from libs.chat.continuing.responses import CutResponse
from libs.chat.exact_json import decode, encode
from libs.chat.providers.answers import Exchange, Rewritten, Stream
from libs.chat.providers.protocol import Outgoing, ProtocolError, of_shape
from libs.chat.shapes.completion import JsonObject
from libs.chat.surfaces.chat.stream import DONE
from libs.chat.surfaces.writer import data_event, named_event
from libs.config.providers import Continues

CUTS: dict[Surface, Callable[[], Cut]] = {
    Surface.CHAT_COMPLETIONS: CutChat,
    Surface.MESSAGES: CutMessage,
    Surface.RESPONSES: CutResponse,
}
"""The surfaces whose streams can go on."""
_MARKS: dict[Continues, tuple[JsonObject, JsonObject]] = {
    "prefill": ({}, {}),
    "prefix": ({"prefix": True}, {}),
    "partial": ({"partial": True}, {}),
    "continue_final_message": ({}, {"add_generation_prompt": False, "continue_final_message": True}),
}
"""What the last message, and the request, must have beside. Sources: Anthropic, "Prefill Claude's response"; DeepSeek,
"Chat Prefix Completion"; Moonshot, "Partial Mode"; vLLM, "Chat API, extra parameters"."""


def take(cut: Cut, events: str) -> None:
    """Has a cut take in some whole events, the next that the client has. Raises NotPlainError."""
    for event in events.split("\n\n"):
        content = _content(event)
        if content is None:
            continue
        try:
            cut.take(content)
        except (AttributeError, LookupError, TypeError) as error:
            raise NotPlainError from error


def going_on(exchange: Exchange, cut: Cut, continues: Continues) -> Exchange:
    """The exchange of a call whose request ends with the text of the cut, as the client of that is to see it."""
    outgoing = _marked(exchange.outgoing, continues) if cut.text else exchange.outgoing
    return replace(exchange, outgoing=outgoing, stream=_Joined(exchange.stream, cut))


class _Joined(Rewritten):
    """The events of the call that goes on, as those of the stream that was cut."""

    def __init__(self, stream: Stream, cut: Cut) -> None:
        super().__init__(stream, event=self._joined, end=self._joined)
        self._cut = cut
        self._total: TokenUsage | None = None

    def finish(self, counted: TokenUsage | None) -> str:
        """See `Stream`. ``counted`` is what all calls were counted with."""
        self._total = counted
        return super().finish(counted)

    def _joined(self, events: str) -> str:
        return "".join(self._event(event) for event in events.split("\n\n") if event)

    def _event(self, event: str) -> str:
        content = _content(event)
        if content is None:
            return f"{event}\n\n"
        try:
            found = of_shape(self._cut.go_on)(content)
        except NotPlainError:
            raise ProtocolError("the answer goes on with something else") from None
        if self._total:
            for one in found:
                self._cut.count(one, self._total)
        return "".join(named_event(one) if one.get("type") else data_event(one) for one in found)


def _content(event: str) -> JsonObject | None:
    """Of an event of ours; None where it has no object: a comment, or the end of a chat completion."""
    _, found, data = event.rpartition("data: ")
    content = decode(data) if found and data != DONE else None
    return content if isinstance(content, dict) else None


def _marked(outgoing: Outgoing, continues: Continues) -> Outgoing:
    of_message, of_request = _MARKS[continues]
    if not of_message and not of_request:
        return outgoing
    body = decode(outgoing.content)
    *turns, last = body["messages"]
    marked = {**body, **of_request, "messages": [*turns, {**last, **of_message}]}
    return replace(outgoing, content=encode(marked).encode())
