"""``./sluice bench cluster``: three brokers that ask who one is, each record on all three and on two before it counts.

Under streams and whole answers: the broker that leads most is killed; one stands still for longer than its session;
all are restarted, one after the other. Then the books are audited, and compared with what each client saw.
"""

import asyncio
import signal
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from contracts.topics import TOPICS
from services.cli.output import as_json, as_table, out, report
from tests.bench.stacks import finish
from tests.faults.books import check_books
from tests.faults.load import Load
from tests.secured import Node, SecuredCluster, secured_cluster
from tests.stacks import CONFIG, Gateway, NotYet, running_stack, until

BROKERS = 3
WITHIN_S = 120.0
ANSWERS = 24
"""After each step, until it counts as survived."""
STEPS = ("leader killed", "leader stands still", "rolling restart")
STANDS_STILL_S = 12.0
"""Beyond a broker's session with the controller (9 s)."""


class Cluster:
    """The brokers as a test breaks them."""

    def __init__(self, cluster: SecuredCluster) -> None:
        self._cluster = cluster

    async def leader(self) -> Node:
        """The broker that leads most partitions."""
        leads = Counter(partition["leader"] for topic in await self._described() for partition in topic["partitions"])
        number = leads.most_common(1)[0][0]
        return next(node for node in self._cluster.nodes if node.number == number)

    async def kill_leader(self) -> None:
        """kill -9; it is started again at once."""
        node = await self.leader()
        assert node.child
        node.child.kill()

    async def hold_up_leader(self) -> None:
        """SIGSTOP: its connections stay open, and nothing comes."""
        node = await self.leader()
        assert node.child
        node.child.kill(signal.SIGSTOP)
        try:
            await asyncio.sleep(STANDS_STILL_S)
        finally:
            node.child.kill(signal.SIGCONT)

    async def restart_all(self) -> None:
        """One after the other, as an update does: the next when all copies are in step again."""
        for node in self._cluster.nodes:
            assert node.child
            restarts = node.child.restarts
            node.child.kill(signal.SIGTERM)

            async def back(node: Node = node, restarts: int = restarts) -> bool | None:
                return (node.child is not None and node.child.restarts > restarts) or None

            await until(back, what=f"broker {node.number}", within_s=WITHIN_S)
            await self.in_step()

    async def in_step(self) -> None:
        """Returns when every partition has all its copies."""
        await until(self._in_step, what="all copies in step", within_s=WITHIN_S)

    async def _in_step(self) -> bool | NotYet:
        try:
            described = await self._described()
        except (KafkaError, OSError) as error:
            return NotYet(repr(error))
        behind = sum(len(one["isr"]) < BROKERS for topic in described for one in topic["partitions"])
        return NotYet(f"{behind} partitions are behind") if behind or not described else True

    async def _described(self) -> list[dict[str, Any]]:
        client = AIOKafkaAdminClient(**self._cluster.admin.connection(), request_timeout_ms=5_000)
        await client.start()
        try:
            found: list[dict[str, Any]] = await client.describe_topics([topic.name for topic in TOPICS])
            return found
        finally:
            await client.close()


async def run(folder: Path, steps: tuple[str, ...]) -> dict[str, Any]:
    """Starts all, takes the steps under load, audits.

    Raises:
        AssertionError: a client had no answer, or the books are wrong.
    """
    began = time.monotonic()
    async with (
        secured_cluster(folder, BROKERS) as cluster,
        running_stack(folder / "stack", cluster.admin.bootstrap, config=CONFIG, access=cluster) as gateway,
    ):
        started_s = time.monotonic() - began
        report(f"{BROKERS} brokers and all services run after {started_s:.0f} s")
        brokers, rows = Cluster(cluster), []
        doing: dict[str, Callable[[], Awaitable[None]]] = {
            "leader killed": brokers.kill_leader,
            "leader stands still": brokers.hold_up_leader,
            "rolling restart": brokers.restart_all,
        }
        async with Load(gateway, answered_within_s=WITHIN_S) as load:
            await load.more(ANSWERS, within_s=WITHIN_S)
            for name in steps:
                rows.append({"step": name} | await _under_load(load, doing[name]))
                report(f"{name}: survived")
                await brokers.in_step()
        await until(partial(_ready, gateway), what="readiness of all services", within_s=WITHIN_S)
        outcomes = await check_books(gateway, load.completed, cluster.environment("audit"))
    return {
        "rows": rows,
        "outcomes": outcomes,
        "statuses": load.statuses,
        "refusals": dict(load.refusals),
        "completed": len(load.completed),
        "broken": load.broken,
        "started_s": round(started_s),
    }


async def _under_load(load: Load, step: Callable[[], Awaitable[None]]) -> dict[str, Any]:
    before, at = (len(load.completed), load.broken, sum(load.statuses.values())), time.monotonic()
    doing = asyncio.ensure_future(step())
    await load.more(ANSWERS, within_s=WITHIN_S)
    answered_s = time.monotonic() - at
    await doing
    await load.more(ANSWERS, within_s=WITHIN_S)
    refused = sum(load.statuses.values()) - before[2] - (len(load.completed) - before[0])
    return {
        f"{ANSWERS} whole answers after, s": round(answered_s, 1),
        "whole step, s": round(time.monotonic() - at, 1),
        "whole answers": len(load.completed) - before[0],
        "not answered with 200 in whole": refused,
        "broken streams and connections": load.broken - before[1],
    }


async def _ready(gateway: Gateway) -> bool | None:
    health = await gateway.stack.health()
    return all(answer.get("ready") for answer in health.values()) or None


async def main(options: Namespace) -> None:
    """Runs and prints."""
    with tempfile.TemporaryDirectory(prefix="sluice-cluster-") as folder:
        Path(folder).chmod(0o755)
        try:
            found = await run(Path(folder), tuple(options.steps or STEPS))
        finally:
            if options.keep:
                await asyncio.to_thread(_keep, Path(folder), options.keep)
    if options.json:
        as_json(found | {"statuses": {str(status): count for status, count in found["statuses"].items()}})
        return
    as_table(found["rows"], "")
    answers = ", ".join(f"{count} x {status}" for status, count in sorted(found["statuses"].items()))
    accepted = sum(found["outcomes"].values())
    for message, count in sorted(found["refusals"].items()):
        out.print(f"{count} x {message}", markup=False)
    out.print(f"\nanswers: {answers}; {found['completed']} whole, {found['broken']} broken")
    out.print(f"audit: {accepted} requests accepted ({found['outcomes']}), each ended once and is booked once")


def _keep(folder: Path, target: Path) -> None:
    for log in folder.rglob("*.log"):
        (target / log.name).write_bytes(log.read_bytes())


if __name__ == "__main__":
    parser = ArgumentParser(prog="sluice bench cluster", description=__doc__)
    parser.add_argument("--steps", action="append", choices=STEPS, help="one or several of them; else all")
    parser.add_argument("--keep", type=Path, help="an existing folder, for all logs")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    try:
        finish(main(parser.parse_args()))
    except (AssertionError, TimeoutError) as error:
        sys.exit(f"sluice bench cluster: {error}")
