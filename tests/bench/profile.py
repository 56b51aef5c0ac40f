"""``./sluice bench profile``: where each service's CPU goes, in microseconds a request, as tables and flame graphs.

Each process samples itself (`libs.runtime.sampling`), by CPU time and not by the time of day, while requests without
streams are in flight. What the sampling costs is in the figures.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from libs.runtime.sampling import SUFFIX, VARIABLE
from services.cli.output import report
from tests.bench.asking import Door, drive
from tests.bench.flames import outline, parsed, tree
from tests.bench.kinds import Frames, by_kind, table
from tests.bench.load import Result
from tests.bench.plots.flames import flame_graph
from tests.bench.record import machine
from tests.bench.stacks import ENVIRONMENT, Measured, finish, measured_stack

WRITTEN_WITHIN_S = 60.0
NOT_OURS = ("broker", "postgres", "stub")


@dataclass(frozen=True, slots=True)
class Profile:
    """Of one load."""

    result: Result
    collapsed: dict[str, str]
    """By process, as it wrote them."""
    processes_us: dict[str, float]
    """CPU a request of all processes, as the kernel counts."""

    def stacks(self, name: str) -> dict[Frames, float]:
        """Of one process, microseconds a request."""
        return parsed(self.collapsed[name], len(self.result.samples))


async def main(options: argparse.Namespace) -> None:
    """Measures, prints and saves."""
    ran_on = machine()
    with tempfile.TemporaryDirectory(prefix="sluice-profile-") as folder:
        environment = ENVIRONMENT | {VARIABLE: folder}
        async with measured_stack(options.kafka, environment=environment) as measured:
            await _drive(measured, options.connections, options.warm_up)
            profile = await _profiled(measured, Path(folder), options)
    stacks = {name: profile.stacks(name) for name in sorted(profile.collapsed)}
    kinds = {name: by_kind(found) for name, found in stacks.items()}
    text = "\n".join([_heading(profile.result, options, ran_on), "", *table(kinds, profile.processes_us), ""])
    if options.stacks:
        _written(options.stacks, {f"{name}{SUFFIX}": found for name, found in profile.collapsed.items()})
    if options.save:
        graphs = {f"{name}.svg": _graph(name, found, options.connections) for name, found in stacks.items()}
        links = [f"[{name}]({name})" for name in graphs]
        _written(options.save, graphs | {"profile.md": f"{text}\nFlame graphs: {', '.join(links)}.\n"})
    sys.stdout.write(text)
    for name in options.tree:
        root = tree(stacks[name])
        sys.stdout.write("\n".join(["", name, *outline(root, root.spent_us / 100), ""]))


async def _profiled(measured: Measured, folder: Path, options: argparse.Namespace) -> Profile:
    pids = {name: child.pid for name, child in measured.stack.children.items() if name not in NOT_OURS}
    report(f"{options.connections} in flight for {options.seconds:g} s")
    before = measured.cpu_s()
    _signal(pids)
    result = await _drive(measured, options.connections, options.seconds)
    _signal(pids)
    after = measured.cpu_s()
    count = max(1, len(result.samples))
    files = {name: folder / f"{name}-{pid}{SUFFIX}" for name, pid in pids.items()}
    async with asyncio.timeout(WRITTEN_WITHIN_S):
        while not all(file.exists() for file in files.values()):
            await asyncio.sleep(0.05)
    processes_us = {name: (after[name] - before[name]) / count * 1e6 for name in after}
    return Profile(result, {name: file.read_text() for name, file in files.items()}, processes_us)


def _signal(pids: dict[str, int]) -> None:
    for pid in pids.values():
        os.kill(pid, signal.SIGUSR2)


async def _drive(measured: Measured, connections: int, seconds: float) -> Result:
    return await drive([Door(measured.stack.base_url)], [measured.key], connections=connections, seconds=seconds)


def _heading(result: Result, options: argparse.Namespace, ran_on: dict[str, Any]) -> str:
    return (
        f"Commit `{ran_on['commit']}`, Python {ran_on['python']}, {ran_on['cores']} cores, load before "
        f"{ran_on['load before']}; {options.connections} in flight for {options.seconds:g} s: {result.rate:.0f} "
        f"requests/s, p50 {result.total_ms(50):.0f} ms, {result.errors} errors."
    )


def _graph(name: str, stacks: dict[Frames, float], connections: int) -> str:
    root = tree(stacks)
    return flame_graph(f"{name}: {root.spent_us:.0f} µs of CPU a request, {connections} in flight", root)


def _written(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)


def arguments() -> argparse.ArgumentParser:
    """Of the command line."""
    parser = argparse.ArgumentParser(prog="sluice bench profile", description=__doc__)
    parser.add_argument("--connections", type=int, default=64, help="requests in flight")
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--warm-up", type=float, default=10)
    parser.add_argument("--kafka", default="embedded", help="embedded or HOST:PORT")
    parser.add_argument("--save", type=Path, help="a folder for profile.md and a flame graph (SVG) of each service")
    parser.add_argument("--stacks", type=Path, help="a folder for the collapsed stacks, whole")
    parser.add_argument("--tree", nargs="+", default=[], metavar="SERVICE", help="print its calls, too, as a tree")
    return parser


if __name__ == "__main__":
    finish(main(arguments().parse_args()))
