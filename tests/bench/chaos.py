"""``./sluice bench chaos``: random faults over every process and every way to the broker, under streams and whole
answers. The printed seed gives the same faults again; what the machine makes of them is another matter.

Afterwards log and ledger are audited, and compared with what each client saw.
"""

import asyncio
import signal
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import psutil

from deploy.local import child as supervision
from deploy.local.child import Child
from deploy.local.errors import StackError
from deploy.local.home import ROOT
from services.cli.output import as_json, as_table, out, report
from tests.bench.faults import BROKER, POSTGRES, Fault, Kind, volleys
from tests.bench.links import LinkedBroker, linked_broker
from tests.bench.stacks import finish
from tests.documents import put
from tests.faults.books import check_books
from tests.faults.load import Load
from tests.forking import forked_services
from tests.stacks import CONFIG, Gateway, running_stack, until

ANSWERS_WITHIN_S = 90.0
ANSWERS = 12
"""After a fault, until the next: more than there are clients, so that some were asked for after it."""
RESTART_MOST_S = 0.4
DOCUMENT = "docs/reliability.md"
MARK = "chaos"
RUNS = "docs/measurements/chaos-runs.json"
RUNS_MARK = "chaos runs"


@dataclass
class Seen:
    """Of all faults of one kind: how long clients waited for the next `ANSWERS` whole answers."""

    count: int = 0
    waited_s: list[float] = field(default_factory=list)
    refused: int = 0
    """Answers of 4xx and 5xx until then."""
    broken: int = 0
    """Connections and streams."""


@dataclass
class Outcome:
    """A whole run."""

    seed: int
    seconds: float
    seen: dict[tuple[str, str], Seen]
    statuses: dict[int, int]
    completed: int
    broken: int
    outcomes: dict[str, int]

    @property
    def faults(self) -> int:
        """All of them."""
        return sum(one.count for one in self.seen.values())

    @property
    def kills(self) -> int:
        """Those without a warning."""
        return sum(one.count for (kind, _), one in self.seen.items() if kind == Kind.KILL)

    def rows(self) -> list[dict[str, Any]]:
        """By kind and victim."""
        return [
            {
                "fault": kind,
                "of": victim,
                "times": one.count,
                f"{ANSWERS} whole answers after, median s": f"{sorted(one.waited_s)[len(one.waited_s) // 2]:.1f}",
                "at most s": f"{max(one.waited_s):.1f}",
            }
            for (kind, victim), one in sorted(self.seen.items())
        ]


async def chaos(
    folder: Path,
    seed: int,
    count: int,
    within_s: float = float("inf"),
    *,
    together: int = 1,
    kinds: frozenset[Kind] = frozenset(Kind),
) -> Outcome:
    """Runs a stack, breaks it, and checks its books.

    Args:
        count: of faults at the least, unless ``within_s`` ends the run before.
        together: so many at once, at the most, before the system must answer again.
        kinds: others are left out.

    Raises:
        AssertionError: a client was left without an answer, or the books are wrong.
    """
    async with linked_broker(folder) as broker:
        found = await endure(folder, broker, volleys(seed, together, kinds), count, within_s)
    return replace(found, seed=seed)


async def endure(
    folder: Path,
    broker: LinkedBroker,
    planned: Iterable[list[Fault]],
    count: int,
    within_s: float = float("inf"),
    *,
    disks: Mapping[str, Path] | None = None,
) -> Outcome:
    """The same with faults that are planned. Args and Raises as of `chaos`.

    Args:
        disks: on which a victim of `Kind.DISK` keeps its data.
    """
    began, seen = time.monotonic(), defaultdict[tuple[str, str], Seen](Seen)
    # Whoever is killed again and again would be started later and later.
    supervision.RESTART_MOST_S = RESTART_MOST_S
    async with running_stack(
        folder / "stack", broker.admin.bootstrap, config=CONFIG, access=broker, instances={"relay": 2}
    ) as gateway:
        async with Load(gateway, answered_within_s=ANSWERS_WITHIN_S) as load:
            await load.more(10, within_s=ANSWERS_WITHIN_S)
            done = 0
            for volley in planned:
                if done >= count or time.monotonic() - began > within_s:
                    break
                breaking, at = [], []
                refused, broken = load.refused, load.broken
                for fault in volley:
                    await asyncio.sleep(fault.after_s)
                    at.append(time.monotonic())
                    breaking.append(asyncio.create_task(_break(gateway, broker, fault, disks or {})))
                try:
                    await load.more(ANSWERS, within_s=ANSWERS_WITHIN_S)
                except TimeoutError:
                    broke = ", ".join(f"{fault.kind} of {fault.victim}" for fault in volley)
                    raise AssertionError(f"no {ANSWERS} answers within {ANSWERS_WITHIN_S:.0f} s of {broke}") from None
                answered = time.monotonic()
                await asyncio.gather(*breaking)
                for fault, at_s in zip(volley, at, strict=True):
                    one = seen[fault.kind.value, fault.victim]
                    one.count += 1
                    one.waited_s.append(answered - at_s)
                    one.refused += load.refused - refused
                    one.broken += load.broken - broken
                done += len(volley)
                report(f"{done} faults, {len(load.completed)} whole answers, {time.monotonic() - began:.0f} s")
        await until(partial(_ready, gateway), what="readiness of all services", within_s=ANSWERS_WITHIN_S)
        gateway.database = await until(partial(_connected, gateway), what="PostgreSQL")
        outcomes = await check_books(gateway, load.completed)
    seconds = time.monotonic() - began
    return Outcome(0, seconds, dict(seen), load.statuses, len(load.completed), load.broken, outcomes)


async def _break(gateway: Gateway, broker: LinkedBroker, fault: Fault, disks: Mapping[str, Path]) -> None:
    around: dict[Kind, Callable[[], Awaitable[None]]] = {
        Kind.CUT: lambda: broker.links[fault.victim].cut(fault.for_s),
        Kind.DELAY: lambda: broker.links[fault.victim].delay(fault.by_s, fault.for_s),
        Kind.HALF_OPEN: lambda: broker.links[fault.victim].half_open(fault.for_s),
        Kind.CLOCK: lambda: broker.clocks[fault.victim].jump(fault.by_s, fault.for_s),
        Kind.DISK: lambda: fill_disk(disks[fault.victim], fault.for_s),
    }
    if fault.kind in around:
        await around[fault.kind]()
        return
    child = broker.child if fault.victim == BROKER else gateway.stack.children[fault.victim]
    await until(partial(_runs, child), what=f"{fault.victim}, which was broken before", within_s=ANSWERS_WITHIN_S)
    # A PostgreSQL server works in its children.
    send = child.kill_tree if fault.victim == POSTGRES else child.kill
    if fault.kind is Kind.KILL:
        send(signal.SIGKILL)
    elif fault.kind is Kind.RESTART:
        child.kill(signal.SIGINT if fault.victim == POSTGRES else signal.SIGTERM)
    else:
        send(signal.SIGSTOP)
        try:
            await asyncio.sleep(fault.for_s)
        finally:
            send(signal.SIGCONT)


async def fill_disk(folder: Path, for_s: float) -> None:
    """Leaves no byte of the disk of a folder, and all of them again."""
    ballast = folder / "ballast"
    try:
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while file.write(bytes(1024 * 1024)):
                pass
        with suppress(OSError), ballast.open("ab", buffering=0) as file:
            while file.write(b"x"):
                pass
        await asyncio.sleep(for_s)
    finally:
        ballast.unlink(missing_ok=True)


async def _runs(child: Child) -> bool | None:
    try:
        return psutil.pid_exists(child.pid) or None
    except StackError:
        return None


async def _ready(gateway: Gateway) -> bool | None:
    health = await gateway.stack.health()
    return all(answer.get("ready") for answer in health.values()) or None


async def _connected(gateway: Gateway) -> "asyncpg.Connection[Any] | None":
    try:
        return await asyncpg.connect(gateway.stack.postgres.admin_url())
    except (OSError, asyncpg.PostgresError):
        return None


async def main(options: Namespace) -> None:
    """Runs and prints."""
    with tempfile.TemporaryDirectory(prefix="sluice-chaos-") as folder:
        Path(folder).chmod(0o755)
        try:
            async with forked_services() if options.forks else nullcontext():
                found = await chaos(
                    Path(folder),
                    options.seed,
                    options.faults,
                    options.minutes * 60,
                    together=options.together,
                    kinds=frozenset({Kind.KILL} if options.kills else Kind),
                )
        except BaseException:
            report(f"seed {options.seed}")
            if options.keep:
                await asyncio.to_thread(keep, Path(folder), options.keep)
            raise
    if options.json:
        as_json(_run(found, options.together) | {"rows": found.rows(), "outcomes": found.outcomes})
    else:
        as_table(found.rows(), "")
        out.print(f"\nSeed {found.seed}: {summary(found)}", markup=False)
    if options.write:
        put(ROOT / DOCUMENT, MARK, _markdown(found))
    if options.add:
        _add(found, options.together)


def summary(found: Outcome) -> str:
    """What was done, what clients saw, and what the audit found."""
    answers = ", ".join(f"{count} x {status}" for status, count in sorted(found.statuses.items()))
    ends = ", ".join(f"{count} {outcome}" for outcome, count in sorted(found.outcomes.items()))
    return (
        f"{found.faults} faults in {found.seconds / 60:.1f} minutes, {found.kills} of them kill -9. "
        f"Clients saw {found.completed} whole answers, {found.broken} broken connections and streams; "
        f"statuses: {answers}. "
        f"Audit: {sum(found.outcomes.values())} requests accepted ({ends}), each ended once and is booked once; every "
        "whole answer that a client saw is in the ledger as completed."
    )


def _markdown(found: Outcome) -> str:
    totals: Counter[str] = Counter()
    for (kind, _), one in found.seen.items():
        totals[kind] += one.count
    head = f"| fault | of | times | {ANSWERS} whole answers after, median s | at most s |\n|---|---|---|---|---|\n"
    body = "".join(f"| {' | '.join(str(value) for value in row.values())} |\n" for row in found.rows())
    return f"{head}{body}\nSeed {found.seed}: {summary(found)}\n"


def _add(found: Outcome, together: int) -> None:
    """Adds the run to those of the document."""
    file = ROOT / RUNS
    runs = [*orjson.loads(file.read_bytes()), _run(found, together)]
    file.write_bytes(orjson.dumps(runs, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    put(ROOT / DOCUMENT, RUNS_MARK, runs_table(runs))


def _run(found: Outcome, together: int) -> dict[str, int]:
    return {
        "seed": found.seed,
        "at once": together,
        "faults": found.faults,
        "kill -9": found.kills,
        "requests accepted": sum(found.outcomes.values()),
        "whole answers seen": found.completed,
        "lost or doubled": 0,
    }


def runs_table(runs: list[dict[str, int]]) -> str:
    """All runs that ended with books that are right: what `chaos` asserts."""
    names = list(runs[0])
    sums = {name: sum(run[name] for run in runs) for name in names[2:]}
    lines = [names, ["---"] * len(names), *(_cells(run) for run in runs)]
    lines.append(["**all**", "", *(f"**{value:,}**" for value in sums.values())])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cells(run: dict[str, int]) -> list[str]:
    seed, *counts = run.values()
    return [str(seed), *(f"{count:,}" for count in counts)]


def keep(folder: Path, target: Path) -> None:
    """Copies all logs below a folder."""
    for log in folder.rglob("*.log"):
        (target / log.name).write_bytes(log.read_bytes())


if __name__ == "__main__":
    parser = ArgumentParser(prog="sluice bench chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of what is broken, when and for how long")
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=15, help="at the most")
    parser.add_argument("--together", type=int, default=1, help="so many faults at once, at the most")
    parser.add_argument("--kills", action="store_true", help="nothing but kill -9")
    parser.add_argument("--forks", action="store_true", help="services start as forks, without importing: more kills")
    parser.add_argument("--add", action="store_true", help=f"add the run to {RUNS} and to the table of {DOCUMENT}")
    parser.add_argument("--keep", type=Path, help="an existing folder, for the logs of a run that fails")
    parser.add_argument("--write", action="store_true", help=f"put the table into {DOCUMENT}")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    try:
        finish(main(parser.parse_args()))
    except (AssertionError, TimeoutError) as error:
        sys.exit(f"sluice bench chaos: {error}")
