"""Answers of Responses that end with the carrier of their items, see `libs.chat.surfaces.references`. Sans-I/O."""

from dataclasses import replace

from contracts.usage import TokenUsage
from libs.chat.exact_json import decode, encode
from libs.chat.providers.answers import Answer, Exchange, Stream
from libs.chat.surfaces import references


def carrying(exchange: Exchange) -> Exchange:
    """The exchange, with the carrier in its answer."""
    return replace(exchange, stream=CarryingStream(exchange.stream), whole=lambda data: _carrying(exchange.whole(data)))


def _carrying(answer: Answer) -> Answer:
    return replace(answer, body=lambda counted: encode(references.with_carrier(decode(answer.body(counted)))))


class CarryingStream:
    """A stream with the carrier's events before its end. See `libs.chat.providers.answers.Stream`."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.event = stream.event

    @property
    def usage(self) -> TokenUsage | None:
        """See `Stream`."""
        return self._stream.usage

    @property
    def delivered_bytes(self) -> int:
        """See `Stream`."""
        return self._stream.delivered_bytes

    @property
    def done(self) -> bool:
        """See `Stream`."""
        return self._stream.done

    @property
    def finished(self) -> bool:
        """See `Stream`."""
        return self._stream.finished

    def finish(self, counted: TokenUsage | None) -> str:
        """See `Stream`."""
        return references.with_carrier_events(self._stream.finish(counted))
