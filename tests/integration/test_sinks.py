"""The service of sinks on a real broker: killed, started again and backfilled, nothing is lost."""

import asyncio
import json
import os
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import yaml

from contracts import topics
from contracts.charges import ChargePosted
from contracts.clock import now_ms
from contracts.credit import BalanceLow
from contracts.headers import DLQ_GROUP, header
from contracts.services import METERING
from deploy.local.child import Child
from deploy.local.home import plain_environment
from deploy.local.ports import LOOPBACK, free_port
from libs.bus.producer import Producer, settle
from libs.bus.reading import read_to_end
from libs.bus.settings import BusSettings
from services.sinks.core.events import event_of
from tests.receivers import HttpReceiver, MailReceiver, ids_in, webhook_ids
from tests.s3_server import BUCKET, REGION, s3_server
from tests.stacks import NotYet, until
from tests.unit.records import posted
from tests.unit.test_sinks import SECRET

BATCH = 150


@asynccontextmanager
async def sink_service(
    bus: BusSettings, folder: Path, sinks: dict[str, Any], **secrets: str
) -> AsyncIterator[tuple[Child, int]]:
    """The service with these sinks, and the port of its health page."""
    port = free_port()
    config = folder / "sluice.yaml"
    config.write_text(yaml.safe_dump({"sinks": sinks}))
    environment = plain_environment(
        SLUICE_KAFKA_BOOTSTRAP=bus.bootstrap,
        SLUICE_KAFKA_PARTITIONS=bus.partitions,
        SLUICE_KAFKA_INSTANCE=f"sinks-{uuid.uuid4().hex[:8]}",
        SLUICE_HEALTH_PORT=port,
        SLUICE_CONFIG=config,
        SLUICE_SINK_SECRET=SECRET,
        **secrets,
    )
    child = Child("sinks", lambda: [sys.executable, "-m", "services.sinks"], environment, folder / "sinks.log")
    await child.start()
    try:
        yield child, port
    finally:
        await child.stop()


async def ready(port: int) -> None:
    """Returns once it does its work."""
    async with httpx.AsyncClient(trust_env=False) as client:

        async def asked() -> bool | NotYet:
            try:
                answer = await client.get(f"http://{LOOPBACK}:{port}/readyz")
            except httpx.HTTPError as error:
                return NotYet(repr(error))
            return answer.status_code == 200 or NotYet(answer.text)

        await until(asked, what="service that is ready")


async def _cli(bus: BusSettings, *arguments: str) -> str:
    environment = os.environ | {
        "SLUICE_KAFKA_BOOTSTRAP": bus.bootstrap,
        "SLUICE_KAFKA_PARTITIONS": str(bus.partitions),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "services.cli", "sinks", *arguments),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    assert process.returncode == 0, error.decode()
    return out.decode()


async def test_a_sink_is_killed_started_again_and_backfilled_without_loss(bus: BusSettings, tmp_path: Path) -> None:
    began = datetime.now(UTC).isoformat()
    receiver, mail, producer = HttpReceiver(webhook_ids), MailReceiver(), Producer(bus, METERING)
    sinks: dict[str, Any] = {
        "books": {"kind": "webhook", "url": receiver.url, "private": True, "secret": "env:SLUICE_SINK_SECRET"},
        "people": {
            "kind": "email",
            "host": LOOPBACK,
            "port": mail.port,
            "security": "none",
            "sender": "sluice@sluice.example",
            "to": ["operator@sluice.example"],
        },
    }
    first = uuid.uuid4().int % 10**11
    wanted: set[str] = set()

    async def publish(begin: int, count: int) -> None:
        charges = [posted(first + number) for number in range(begin, begin + count)]
        wanted.update(event_of(charge, 0).id for charge in charges)
        await settle([await producer.publish(topics.CHARGES, charge) for charge in charges])

    async def has_all(times: int) -> bool | NotYet:
        counts = Counter(receiver.ids)
        missing = sum(counts[one] < times for one in wanted)
        return NotYet(f"{missing} are missing") if missing else True

    mail.start()
    await producer.start()
    try:
        async with receiver.running(), sink_service(bus, tmp_path, sinks) as (child, port):
            await ready(port)
            await publish(0, BATCH)
            await until(lambda: _some(receiver), what="delivery")
            child.kill()
            await publish(BATCH, BATCH)
            await until(lambda: has_all(1), what="delivery after the kill")

            await _cli(bus, "backfill", "books", "--from", began)
            await until(lambda: _some(receiver, 2 * BATCH + 1), what="backfill")
            child.kill()
            await until(lambda: has_all(2), what="second delivery")
            assert set(receiver.ids) >= wanted

            bad = posted(first + 2 * BATCH)
            receiver.refused.add(event_of(bad, 0).id)
            await settle([await producer.publish(topics.CHARGES, bad)])
            await publish(2 * BATCH + 1, 20)
            await until(lambda: has_all(1), what="delivery of the others")
            await until(lambda: _letter(bus, bad), what="dead letter")

            (books,) = json.loads(await _cli(bus, "show", "books", "--json"))
            assert books["kind"] == "webhook" and books["group"].startswith("sinks.books.")
            low = BalanceLow(
                owner="org:o", balance_microdollars=1, below_microdollars=2_000_000, noticed_at_ms=now_ms()
            )
            await settle([await producer.publish(topics.CREDIT, low)])
            await until(lambda: _mail(mail), what="mail")
    finally:
        await producer.stop()
        mail.stop()


async def test_files_have_each_record_once_after_kills_and_a_backfill(bus: BusSettings, tmp_path: Path) -> None:
    began, first = datetime.now(UTC).isoformat(), uuid.uuid4().int % 10**11
    producer, wanted, folder = Producer(bus, METERING), set[str](), tmp_path / "lake"
    await producer.start()

    async def publish(begin: int, count: int) -> None:
        charges = [posted(first + number) for number in range(begin, begin + count)]
        wanted.update(event_of(charge, 0).id for charge in charges)
        await settle([await producer.publish(topics.CHARGES, charge) for charge in charges])

    async with s3_server(tmp_path) as s3:

        async def stored(at_least: int = 0) -> tuple[Counter[str], Counter[str]] | NotYet:
            local = Counter(one for file in folder.rglob("*.parquet") for one in ids_in(file.read_bytes()))
            remote = Counter(one for file in (await s3.files("sluice/charges/")).values() for one in ids_in(file))
            missing = [len(wanted - found.keys()) for found in (local, remote)]
            enough = min(local.total(), remote.total()) >= at_least if at_least else not any(missing)
            return (local, remote) if enough else NotYet(f"{missing} are missing")

        sinks: dict[str, Any] = {
            "disk": {"kind": "files", "path": str(folder), "gather_s": 1, "most_rows": 40},
            "lake": {
                "kind": "s3",
                "url": s3.url,
                "private": True,
                "bucket": BUCKET,
                "region": REGION,
                "access_key": "env:SLUICE_SINK_S3_KEY",
                "secret_key": "env:SLUICE_SINK_S3_SECRET",
                "gather_s": 1,
                "most_rows": 40,
            },
        }
        access = {"SLUICE_SINK_S3_KEY": s3.access.key_id, "SLUICE_SINK_S3_SECRET": s3.access.secret}
        try:
            async with sink_service(bus, tmp_path, sinks, **access) as (child, port):
                await ready(port)
                await publish(0, BATCH)
                await until(lambda: stored(1), what="a file")
                child.kill()
                await publish(BATCH, BATCH)
                await until(stored, what="files after the kill")
                for name in sinks:
                    await _cli(bus, "backfill", name, "--from", began)
                await publish(2 * BATCH, 20)
                child.kill()
                for found in await until(stored, what="files after the backfill"):
                    assert found == Counter(wanted)
        finally:
            await producer.stop()


async def _some(receiver: HttpReceiver, count: int = 1) -> bool | None:
    return len(receiver.ids) >= count or None


async def _mail(mail: MailReceiver) -> bool | NotYet:
    found = [one for one in mail.mails if "Subject: [Sluice] new: balance-low org:o" in one]
    return bool(found) or NotYet(str(mail.mails)[:300])


async def _letter(bus: BusSettings, charge: ChargePosted) -> bool | None:
    async for raw in read_to_end(bus, topics.CHARGES, dead_letters=True):
        if charge.charge_id.encode() in raw.value:
            reader = header(raw.headers, DLQ_GROUP) or ""
            assert reader.startswith("sinks.books.")
            return True
    return None
