"""``./sluice bench matrix``: each fault of each process once, under streams and whole answers, and an audit at the end.

Clocks jump where there is a C compiler. Disks are full where broker and PostgreSQL can have one each: as root.
"""

import os
import subprocess
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from deploy.local.home import ROOT
from services.cli.output import as_table, out
from tests.bench.chaos import ANSWERS, DOCUMENT, Outcome, endure, keep, summary
from tests.bench.faults import BROKER, POSTGRES, matrix
from tests.bench.links import linked_broker
from tests.bench.stacks import finish
from tests.documents import put

MARKS = ("matrix", "clocks", "disks")
DISK = "1g"
ON_DISKS = {BROKER: "broker", POSTGRES: "stack/postgres"}
"""Where they keep their data."""


@contextmanager
def disks(folder: Path) -> Iterator[bool]:
    """Disks of their own for broker and PostgreSQL, where they can be made."""
    with ExitStack() as mounted:
        made = [mounted.enter_context(_disk(folder / place)) for place in ON_DISKS.values()]
        yield all(made)


@contextmanager
def _disk(folder: Path) -> Iterator[bool]:
    folder.mkdir(parents=True)
    command = ["/bin/mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0755", "tmpfs", str(folder)]
    made = os.geteuid() == 0 and not subprocess.run(command, check=False).returncode
    try:
        yield made
    finally:
        if made:
            subprocess.run(["/bin/umount", "--lazy", str(folder)], check=False)


async def main(options: Namespace) -> None:
    """Runs and prints."""
    with tempfile.TemporaryDirectory(prefix="sluice-matrix-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with disks(folder) as full:
            async with linked_broker(folder, clocks=True) as broker:
                faults = [
                    [fault]
                    for fault in matrix(clocks=bool(broker.clocks), disks=full)
                    if (not options.only or fault.kind.value in options.only)
                    and (not options.of or fault.victim in options.of)
                ]
                where = {victim: folder / place for victim, place in ON_DISKS.items()}
                try:
                    found = await endure(folder, broker, faults, len(faults), disks=where)
                finally:
                    if options.keep:
                        keep(folder, options.keep)
    as_table(rows(found), "")
    out.print(f"\n{summary(found)}", markup=False)
    if options.write:
        put(ROOT / DOCUMENT, options.write, markdown(found))


def rows(found: Outcome) -> list[dict[str, str | int]]:
    """A row for each fault of each victim."""
    return [
        {
            "fault": kind,
            "of": victim,
            f"{ANSWERS} whole answers after, s": ", ".join(f"{one:.1f}" for one in seen.waited_s),
            "refused": seen.refused,
            "broken": seen.broken,
        }
        for (kind, victim), seen in found.seen.items()
    ]


def markdown(found: Outcome) -> str:
    """The table, and what the audit found."""
    table = rows(found)
    lines = [list(table[0]), ["---"] * len(table[0]), *([str(value) for value in row.values()] for row in table)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + f"\n{summary(found)}\n"


if __name__ == "__main__":
    parser = ArgumentParser(prog="sluice bench matrix", description=__doc__)
    parser.add_argument("--only", action="append", help="a fault, as the table names it; or several")
    parser.add_argument("--of", action="append", help="whose faults; or several")
    parser.add_argument("--keep", type=Path, help="an existing folder, for all logs")
    parser.add_argument("--write", choices=MARKS, help=f"put the table into {DOCUMENT}, there")
    try:
        finish(main(parser.parse_args()))
    except (AssertionError, TimeoutError) as error:
        sys.exit(f"sluice bench matrix: {error}")
