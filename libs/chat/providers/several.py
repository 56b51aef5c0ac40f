"""Several prompts of one request for a provider that takes one at a time: as many calls, and one answer. Sans-I/O.

Source: the OpenAI API reference, "Completions": the choices of a prompt follow those of the prompt before it.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import cast

from contracts.usage import TokenUsage, summed
from libs.chat.exact_json import decode, encode
from libs.chat.providers.answers import Answer, Exchange, Parts, Rewritten, Stream
from libs.chat.providers.openai_chat.usage import usage_json
from libs.chat.providers.protocol import Call, ProtocolError, of_shape
from libs.chat.shapes.text_completion import TextChoice, TextCompletion
from libs.chat.surfaces.chat.request import wants_usage
from libs.chat.surfaces.chat.stream import DONE
from libs.chat.surfaces.completions.request import prompts_of
from libs.chat.surfaces.writer import data_event

_IDENTITY = ("id", "object", "created", "model")


def several(call: Call, exchange: Callable[[Call], Exchange]) -> Exchange:
    """The exchange of a request with several prompts.

    Args:
        exchange: that of a request with one.

    Raises:
        libs.chat.surfaces.writer.SurfaceError: the provider cannot be sent this.
    """
    joined = Joined(call, exchange)
    first = joined.begin(0)
    joined.parts.clear()
    return replace(first, stream=joined, whole=joined.whole, parts=Parts(len(prompts_of(call.body)), joined.begin))


class Joined:
    """The answers to all prompts as one. Its events are what the parts' streams give. See `Stream`."""

    def __init__(self, call: Call, exchange: Callable[[Call], Exchange]) -> None:
        self._call = call
        self._exchange = exchange
        self._prompts = prompts_of(call.body)
        choices = call.body.get("n") or 1
        self._choices: int = choices
        self._identity: TextCompletion = {}
        """Of the first chunk; all have one."""
        self._answers: dict[int, Answer] = {}
        self.parts: dict[int, Stream] = {}
        """Those that have begun, by number."""

    def begin(self, number: int) -> Exchange:
        """The call for one of the prompts."""
        part = self._exchange(replace(self._call, body={**self._call.body, "prompt": self._prompts[number]}))
        stream = Rewritten(part.stream, event=partial(self._renumbered, number), end=lambda _events: "")
        self.parts[number] = part.stream

        def whole(data: bytes) -> Answer:
            self._answers[number] = part.whole(data)
            return self._answers[number]

        return replace(part, stream=stream, whole=whole)

    @property
    def usage(self) -> TokenUsage | None:
        """See `Stream`: all counts, once those of all parts are complete."""
        return summed([part.usage for part in self.parts.values()]) if self._have_begun() else None

    @property
    def delivered_bytes(self) -> int:
        """See `Stream`."""
        return sum(part.delivered_bytes for part in self.parts.values())

    @property
    def done(self) -> bool:
        """See `Stream`."""
        return self._have_begun() and all(part.done for part in self.parts.values())

    @property
    def finished(self) -> bool:
        """See `Stream`."""
        return self._have_begun() and all(part.finished for part in self.parts.values())

    def _have_begun(self) -> bool:
        return len(self.parts) == len(self._prompts)

    def event(self, data: str) -> str:
        """See `Stream`."""
        return data

    def finish(self, counted: TokenUsage | None) -> str:
        """See `Stream`."""
        usage, last = counted or self.usage, ""
        if usage and wants_usage(self._call.body):
            last = data_event({**self._identity, "choices": [], "usage": usage_json(usage)})
        return f"{last}data: {DONE}\n\n"

    def whole(self, _data: bytes) -> Answer:
        """The answer, once all parts have read theirs."""
        answers = [self._answers[number] for number in range(len(self._prompts))]

        @of_shape
        def body(counted: TokenUsage | None) -> str:
            texts: list[TextCompletion] = [decode(answer.body(None)) for answer in answers]
            choices = [self._of_prompt(number, one) for number, text in enumerate(texts) for one in text["choices"]]
            found: Mapping[str, object] = {**texts[0], "choices": choices}
            usage = counted or summed([answer.usage for answer in answers])
            return encode({**found, "usage": usage_json(usage)} if usage else found)

        delivered = sum(answer.delivered_bytes for answer in answers)
        return Answer(summed([answer.usage for answer in answers]), delivered, body)

    @of_shape
    def _renumbered(self, number: int, events: str) -> str:
        return "".join(self._chunk(number, event) for event in events.split("\n\n") if event)

    def _chunk(self, number: int, event: str) -> str:
        chunk: TextCompletion = decode(event.removeprefix("data: "))
        if not self._identity:
            self._identity = cast("TextCompletion", {name: held for name, held in chunk.items() if name in _IDENTITY})
        choices = [self._of_prompt(number, choice) for choice in chunk["choices"]]
        return data_event({**chunk, **self._identity, "choices": choices})

    def _of_prompt(self, number: int, choice: TextChoice) -> TextChoice:
        """A choice with its place among those of all prompts."""
        if not 0 <= choice["index"] < self._choices:
            raise ProtocolError("there are more choices than were asked for")
        return {**choice, "index": number * self._choices + choice["index"]}
