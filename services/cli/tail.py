"""``tail``: records as they come onto the log."""

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
import typer
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from contracts.charges import ChargePosted
from contracts.record import Record, RequestRecord
from contracts.topic import Topic
from contracts.topics import TOPICS
from deploy.local.errors import StackError
from libs.bus.reader import PartitionReader
from libs.bus.records import PoisonError, Raw, Received, decode
from libs.bus.settings import BusSettings
from services.cli.brokers import brokers
from services.cli.output import Json, err, out
from services.cli.shown import SHOWN, is_of, shown
from services.cli.times import moment

FOLLOWED = tuple(topic for topic in TOPICS if any(record in SHOWN for record in topic.records))
"""Prompts, answers' contents, sealed keys and orders to the vault are not among them."""


def tail(
    topic: Annotated[str | None, typer.Argument(help="A topic, or the beginning of its name; without it, all.")] = None,
    owner: Annotated[str | None, typer.Option(help="Only what is about this account or organization.")] = None,
    since: Annotated[str | None, typer.Option(help="24h, or a time; without it, from now on.")] = None,
    count: Annotated[int | None, typer.Option("-n", "--count", min=1, help="Stop after so many.")] = None,
    json: Json = False,
) -> None:
    """Show records as they come onto the log: who, what and how it ended, without prompts, answers and secrets.

    Of the Sluice of this folder, or of the broker that SLUICE_KAFKA_BOOTSTRAP leads to.
    """
    chosen = [one for one in FOLLOWED if one.name.startswith(topic or "")]
    if not chosen:
        raise StackError(f"there is no such topic to be shown; there are {', '.join(one.name for one in FOLLOWED)}")
    since_ms = int(datetime.fromisoformat(moment(since)).timestamp() * 1000) if since else None
    try:
        asyncio.run(_tail(brokers(), chosen, owner, since_ms, count, json=json))
    except KafkaError as error:
        raise StackError(f"the broker does not answer ({type(error).__name__})") from None
    except BrokenPipeError:
        sys.exit(0)


async def _tail(
    bus: BusSettings,
    chosen: list[Topic[Any]],
    owner: str | None,
    since_ms: int | None,
    count: int | None,
    *,
    json: bool,
) -> None:
    async for received in _records(bus, chosen, since_ms):
        if owner and not is_of(received.record, owner):
            continue
        _print(received, json=json)
        count = count and count - 1
        if count == 0:
            return


async def _records(bus: BusSettings, chosen: list[Topic[Any]], since_ms: int | None) -> AsyncIterator[Received[Record]]:
    partitions = [TopicPartition(one.name, number) for one in chosen for number in range(bus.partitions_of(one))]
    reader = PartitionReader(bus)
    await reader.start()
    try:
        reader.assign(partitions)
        ends = await reader.end_offsets(partitions)
        found = await reader.offsets_since(dict.fromkeys(partitions, since_ms)) if since_ms is not None else {}
        reader.resume({one: ends[one] if (at := found.get(one)) is None else at for one in partitions})
        err.print(f"reading {', '.join(one.name for one in chosen)}", style="dim", markup=False)
        while True:
            raws = [raw for some in (await reader.fetch()).values() for raw in some]
            for raw in sorted(raws, key=lambda raw: raw.timestamp):
                if (received := _decoded(raw)) is not None:
                    yield received
    finally:
        await reader.stop()


def _decoded(raw: Raw) -> Received[Record] | None:
    try:
        # Nothing is believed because of it: signatures are for those who act.
        return decode(raw) if raw.value is not None else None
    except PoisonError:
        return None


def _request_of(record: Record) -> str | None:
    if isinstance(record, ChargePosted):
        return record.charge_id
    return record.request_id if isinstance(record, RequestRecord) else None


def _print(received: Received[Record], *, json: bool) -> None:
    record = received.record
    at = datetime.fromtimestamp(received.timestamp_ms / 1000, UTC)
    position = f"{received.topic.name}/{received.partition}@{received.offset}"
    about = _request_of(record)
    fields = shown(record)
    if json:
        line = {"time": at, "position": position, "type": type(record).__name__, "request_id": about, **fields}
        sys.stdout.write(orjson.dumps(line, default=str).decode() + "\n")
        sys.stdout.flush()
        return
    pairs = " ".join(f"{name.rpartition('.')[2]}={value}" for name, value in fields.items())
    out.print(f"{at:%H:%M:%S.%f}"[:-3], type(record).__name__, about or "", pairs, markup=False)
