"""``./sluice bench``: the record. Side by side, in alternated rounds: the mock provider, the bare chain, this tree,
with ``--against`` a commit of Sluice, and with ``--peers`` other gateways; requests a second, delays, CPU a request by
process, memory, audit.

Absolute figures are of this machine and of what else it does; quote ratios within one run. CPU a request suffers least
from others.
"""

import argparse
import asyncio
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil

from deploy.local.errors import StackError
from deploy.local.home import ROOT
from libs.version import VERSION
from services.cli.output import report
from tests.bench.contenders import Contender, Running, bare_chain, direct, sluice, stub, worktree
from tests.bench.load import Result
from tests.bench.peers import PEERS
from tests.bench.plots import draw
from tests.bench.tables import markdown

CONNECTIONS = (1, 16, 64)
STREAMS = 20
STREAMS_EACH = 5
"""One after the other: two said more of how a process streams for the first time."""
SETTLE_S = 1.0
Row = dict[str, Any]
"""What was measured, in one round, of one contender at one load."""


async def main(options: argparse.Namespace) -> None:
    """Measures and prints."""
    with ExitStack() as kept, tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        Path(folder).chmod(0o755)
        trees = {"sluice": ROOT} | {commit: kept.enter_context(worktree(commit)) for commit in options.against}
        async with stub(Path(folder)) as stub_url:
            contenders: dict[str, Contender] = {"direct": direct(stub_url)}
            if not options.no_chain:
                contenders["bare chain"] = bare_chain()
            contenders |= {name: sluice(tree, stub_url) for name, tree in trees.items()}
            contenders |= {name: PEERS[name](stub_url) for name in options.peers}
            rows: dict[str, list[Row]] = defaultdict(list)
            for number in range(options.rounds):
                names = list(contenders)
                # Nobody is always first, when the machine is quiet, or last.
                for name in names if number % 2 == 0 else reversed(names):
                    report(f"round {number + 1} of {options.rounds}: {name}")
                    async with contenders[name]() as running:
                        rows[name].append(await measure(running, options))
    found = {"machine": machine(), "rounds": options.rounds, "seconds": options.seconds, "results": summary(rows)}
    text = json.dumps(found, indent=1)
    if options.save:
        options.save.mkdir(parents=True, exist_ok=True)
        (options.save / "record.json").write_text(text + "\n")
        (options.save / "record.md").write_text(markdown(found))
        await draw(options.save / "record.json", options.save)
    sys.stdout.write(text + "\n" if options.json else markdown(found))


async def measure(running: Running, options: argparse.Namespace) -> Row:
    """One round of one contender: a warm-up, each number of connections, streams, and the audit of it all."""
    found: Row = {}
    await running.drive(connections=16, seconds=options.warm_up)
    for connections in options.connections:
        await asyncio.sleep(SETTLE_S)
        before = running.cpu_s()
        result = await running.drive(connections=connections, seconds=options.seconds)
        found |= _figures(f"{connections}", result, before, running.cpu_s())
    if running.streams and not options.no_streams:
        await asyncio.sleep(SETTLE_S)
        before = running.cpu_s()
        result = await running.drive(connections=STREAMS, seconds=60, stream=True, each=STREAMS_EACH)
        found |= _figures("streams", result, before, running.cpu_s())
    found["memory MiB"] = running.memory_mib()
    if running.audit:
        found["audit"] = await asyncio.to_thread(running.audit)
    return found


def _figures(load: str, result: Result, before: dict[str, float], after: dict[str, float]) -> Row:
    count = max(1, len(result.samples))
    return {
        f"{load} per s": result.rate,
        f"{load} p50 ms": result.total_ms(50),
        f"{load} p95 ms": result.total_ms(95),
        f"{load} first byte p50 ms": result.first_byte_ms(50),
        f"{load} first byte p95 ms": result.first_byte_ms(95),
        f"{load} errors": result.errors,
        f"{load} CPU ms": {name: (after[name] - before.get(name, 0.0)) / count * 1000 for name in after},
    }


def summary(rows: dict[str, list[Row]]) -> dict[str, dict[str, Any]]:
    """By contender and figure: the median and the spread over the rounds."""
    return {
        name: {figure: _spread([row[figure] for row in of_one]) for figure in of_one[0]}
        for name, of_one in rows.items()
    }


def _spread(values: list[Any]) -> Any:
    if isinstance(values[0], bool):
        return all(values)
    if isinstance(values[0], dict):
        names = sorted({name for value in values for name in value})
        by_name = {name: statistics.median(value.get(name, 0.0) for value in values) for name in names}
        return by_name | {"all": statistics.median(sum(value.values()) for value in values)}
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def machine() -> dict[str, Any]:
    """What it ran on."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    return {
        "sluice": VERSION,
        "commit": commit.stdout.strip(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": psutil.cpu_count(),
        "load before": round(psutil.getloadavg()[0], 1),
    }


def arguments() -> argparse.ArgumentParser:
    """Of the command line."""
    parser = argparse.ArgumentParser(prog="sluice bench", description=__doc__)
    parser.add_argument("--against", action="append", default=[], metavar="COMMIT", help="a commit of Sluice, too")
    parser.add_argument("--peers", nargs="+", default=[], choices=PEERS, help="other gateways, from their registries")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10, help="of load at each number of connections")
    parser.add_argument("--warm-up", type=float, default=40, help="seconds of load that are not counted")
    parser.add_argument("--connections", type=int, nargs="+", default=list(CONNECTIONS))
    parser.add_argument("--no-streams", action="store_true")
    parser.add_argument("--no-chain", action="store_true")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--save", type=Path, help="a folder for record.json, record.md and pictures")
    return parser


if __name__ == "__main__":
    try:
        asyncio.run(main(arguments().parse_args()))
    except (StackError, RuntimeError) as error:
        sys.exit(f"sluice bench: {error}")
