"""Answers of Responses that end with the carrier of their items, see `libs.chat.surfaces.references`. Sans-I/O."""

from dataclasses import replace

from libs.chat.exact_json import decode, encode
from libs.chat.providers.answers import Answer, Exchange, Rewritten
from libs.chat.surfaces import references


def carrying(exchange: Exchange) -> Exchange:
    """The exchange, with the carrier in its answer."""
    stream = Rewritten(exchange.stream, end=references.with_carrier_events)
    return replace(exchange, stream=stream, whole=lambda data: _carrying(exchange.whole(data)))


def _carrying(answer: Answer) -> Answer:
    return replace(answer, body=lambda counted: encode(references.with_carrier(decode(answer.body(counted)))))
