"""What clients have been given of some streams, off the log: one pass for all of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from contracts import headers as names
from contracts import topics
from contracts.headers import header
from contracts.record import RequestId
from contracts.replies import ReplyChunk, ReplyEnded, ReplyStarted
from contracts.requests import AddressedRequest
from libs.bus.reading import read_to_end
from libs.bus.records import PoisonError, decode
from libs.bus.settings import BusSettings
from libs.sealing.hybrid import SealError
from libs.sealing.replies import open_reply
from services.relay.core.delivered import Delivered


@dataclass(slots=True)
class Wanted:
    """One stream."""

    request: AddressedRequest
    delivered: Delivered
    key: bytes | None = field(repr=False)
    """With which it is sealed."""
    since_ms: int


async def read_delivered(bus: BusSettings, wanted: Mapping[RequestId, Wanted]) -> None:
    """Has each take in what is there now; what it took in before changes nothing. Raises KafkaError."""
    by_topic = {
        topic: [one for one in wanted.values() if topics.replies_of(one.request.reply_to) is topic]
        for topic in (topics.REPLIES, topics.KEPT_REPLIES)
    }
    for topic, streams in by_topic.items():
        if not streams:
            continue
        partitions = {one.request.reply_to.partition for one in streams}
        since_ms = min(one.since_ms for one in streams) - 1
        async for raw in read_to_end(bus, topic, partitions=partitions, since_ms=since_ms):
            # Undecoded where they are of other requests: most are.
            found = wanted.get(header(raw.headers, names.SUBJECT) or "")
            if found is None:
                continue
            try:
                record = decode(raw).record
                if isinstance(record, ReplyChunk) and found.key:
                    record = open_reply(record, found.key)
            except (PoisonError, SealError):
                continue
            if isinstance(record, ReplyStarted | ReplyChunk | ReplyEnded):
                found.delivered.take(record)
