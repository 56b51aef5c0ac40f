"""After a fault: the audit holds, and clients were told the truth."""

import asyncio
import sys
from collections import defaultdict
from typing import Any

import orjson

from contracts import topics
from contracts.attempts import AttemptEnded
from contracts.headers import header
from contracts.replies import ReplyEnded
from contracts.topic import Topic
from deploy.local.home import ROOT, plain_environment
from deploy.local.stack import Stack
from libs.bus.reading import read_to_end
from libs.bus.records import decode
from services.relay.core.course import Course
from tests.stacks import Gateway, NotYet, until

WITHIN_S = 90
_WAY: tuple[Topic[Any], ...] = (
    topics.REQUESTS,
    topics.POLICY_DECISIONS,
    topics.QUOTA_DECISIONS,
    topics.CREDENTIAL_GRANTS,
    topics.ROUTES,
    topics.ATTEMPTS,
    topics.USAGE,
    topics.CHARGES,
)


async def accepted_ids(gateway: Gateway) -> set[str]:
    """The requests that the log holds."""
    found = set()
    async for raw in read_to_end(gateway.stack.bus, topics.REQUESTS):
        found.add(header(raw.headers, "ce_subject") or "")
    return found


async def audited(running: Gateway | Stack, access: dict[str, str] | None = None) -> dict[str, Any]:
    """The report of ``./sluice audit``, once nothing is in flight; it must hold.

    Args:
        access: ``SLUICE_KAFKA_*`` of the audit, on a cluster that asks who one is.
    """
    stack = running if isinstance(running, Stack) else running.stack
    bus = stack.bus
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.audit",
        "--wait-s",
        str(WITHIN_S),
        cwd=ROOT,
        env=plain_environment(
            SLUICE_KAFKA_BOOTSTRAP=bus.bootstrap,
            SLUICE_KAFKA_PARTITIONS=bus.partitions,
            SLUICE_DATABASE_URL=stack.postgres.url("metering"),
        )
        | (access or {}),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    report: dict[str, Any] = orjson.loads(out)
    assert not report["differences"], "\n".join(report["differences"])
    if report["in_flight"]:
        raise AssertionError("; ".join([await _where(stack, name) for name in report["oldest_in_flight"]]))
    assert report["held_microdollars"] == 0
    assert process.returncode == 0
    assert report["accepted"] == sum(report["outcomes"].values())
    return report


async def check_effects(gateway: Gateway) -> None:
    """Whatever relays thought of each other: of each request all usage, and all ends of replies, are those of the one
    end that counts."""
    counted: dict[str, AttemptEnded] = {}
    courses: dict[str, Course] = defaultdict(Course)
    for record in await _records(gateway, topics.ATTEMPTS):
        courses[record.request_id].take(record)
    for request_id, course in courses.items():
        assert course.ended, f"{request_id} has no end that counts"
        counted[request_id] = course.ended
    for usage in await _records(gateway, topics.USAGE):
        assert usage == counted[usage.request_id].usage
    for reply in await _records(gateway, topics.REPLIES):
        if isinstance(reply, ReplyEnded):
            assert reply == counted[reply.request_id].reply


async def _records(gateway: Gateway, topic: Topic[Any]) -> list[Any]:
    return [decode(raw).record async for raw in read_to_end(gateway.stack.bus, topic)]


async def _where(stack: Stack, request_id: str) -> str:
    """How far a request has come, by the topics that know of it."""
    found: list[str] = []
    for topic in _WAY:
        found += [
            f"{topic.name}/{raw.partition}@{raw.offset} {header(raw.headers, 'ce_type')}"
            async for raw in read_to_end(stack.bus, topic)
            if header(raw.headers, "ce_subject") == request_id
        ]
    return f"{request_id} is only on: {', '.join(found)}"


async def check_books(gateway: Gateway, completed: set[str], access: dict[str, str] | None = None) -> dict[str, int]:
    """Audits, then compares with what clients saw.

    Args:
        completed: requests whose clients got a whole answer.
        access: see `audited`.

    Returns:
        How many requests there are of each outcome.
    """
    report = await audited(gateway, access)
    rows = await gateway.database.fetch(
        "select outcome from ledger.usage where request_id = any($1::uuid[])", list(completed)
    )
    assert len(rows) == len(completed)
    wrong = [row for row in rows if row["outcome"] != "completed"]
    assert not wrong, f"{len(wrong)} clients had a whole answer that the books do not call completed"
    await until(lambda: _nothing_in_work(gateway), what="empty hands of all services")
    outcomes: dict[str, int] = report["outcomes"]
    return outcomes


async def _nothing_in_work(gateway: Gateway) -> bool | NotYet:
    """A record that is held for ever is read again by every successor, and counts as lag until then.

    The relay may hold prompts whose requests never came, for a minute and a half.
    """
    health = await gateway.stack.health()
    lags = {name: answer.get("lag") for name, answer in health.items() if not name.startswith("relay")}
    return all(lag == 0 for lag in lags.values()) or NotYet(lags)
