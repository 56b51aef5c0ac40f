"""What somebody can do who may write to one topic, and knows all that is public."""

from typing import Any

from contracts import headers as names
from contracts.headers import Headers, event_headers, header
from contracts.record import Record
from contracts.topic import Topic
from libs.bus.reading import read_to_end
from libs.bus.records import Raw
from libs.bus.signing import Signer
from tests.integration.publishing import raw_producer
from tests.stacks import Gateway, until


async def forge(gateway: Gateway, topic: Topic[Any], record: Record, signer: Signer | None = None) -> None:
    """Publishes a record as its service would, with no signature or with one of the forger's."""
    key, value, name = topic.key(record).encode(), record.encode(), type(record).__name__
    about = {"event_id": record.event_id, "source": "/services/console", "subject": record.event_subject}
    headers = event_headers(type_name=name, traceparent="", media_type=record.media_type, **about)
    if signer:
        headers += signer.headers(topic.name, key, dict(headers)[names.TYPE], value)
    await put(gateway, topic, key, value, headers)


async def put(gateway: Gateway, topic: Topic[Any], key: bytes, value: bytes | None, headers: Headers) -> None:
    """Publishes bytes."""
    async with raw_producer(gateway.stack.bus) as producer:
        await producer.send_and_wait(topic.name, value, key=key, headers=headers)


async def refused(gateway: Gateway, topic: Topic[Any], key: str, reader: str, *, times: int = 1) -> list[str]:
    """Waits until a reader has put records of a key into the dead-letter queue; returns its reasons."""

    async def found() -> list[str] | None:
        reasons = [
            header(raw.headers, names.DLQ_REASON) or ""
            async for raw in read_to_end(gateway.stack.bus, topic, dead_letters=True)
            if raw.key == key.encode() and header(raw.headers, names.DLQ_GROUP) == reader
        ]
        return reasons if len(reasons) >= times else None

    return await until(found, what=f"{times} dead letters of {key} by {reader}")


async def on_the_log(gateway: Gateway, topic: Topic[Any], key: str) -> list[Raw]:
    """All records of a key, the oldest first."""
    return [raw async for raw in read_to_end(gateway.stack.bus, topic) if raw.key == key.encode()]
