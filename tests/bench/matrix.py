"""``./sluice bench matrix``: each fault of each process once, under streams and whole answers, and an audit at the end.

Clocks jump where there is a C compiler. The disk is full where one of its own can be mounted: as root.
"""

import os
import subprocess
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local.home import ROOT
from services.cli.output import as_table, out
from tests.bench.chaos import ANSWERS, DOCUMENT, Outcome, endure, summary
from tests.bench.faults import matrix
from tests.bench.links import linked_broker
from tests.bench.stacks import finish
from tests.documents import put

MARK = "matrix"
DISK = "1g"


@contextmanager
def disk(folder: Path) -> Iterator[bool]:
    """A disk of its own at a folder, where one can be made."""
    made = (
        os.geteuid() == 0
        and not subprocess.run(
            ["/bin/mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0755", "tmpfs", str(folder)], check=False
        ).returncode
    )
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
        with disk(folder) as full:
            async with linked_broker(folder, clocks=True) as broker:
                faults = [
                    [fault]
                    for fault in matrix(clocks=bool(broker.clocks), disk=full)
                    if (not options.only or fault.kind.value in options.only)
                    and (not options.of or fault.victim in options.of)
                ]
                found = await endure(folder, broker, faults, len(faults))
    as_table(rows(found), "")
    out.print(f"\n{summary(found)}", markup=False)
    if options.write:
        put(ROOT / DOCUMENT, MARK, markdown(found))


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
    parser.add_argument("--write", action="store_true", help=f"put the table into {DOCUMENT}")
    try:
        finish(main(parser.parse_args()))
    except (AssertionError, TimeoutError) as error:
        sys.exit(f"sluice bench matrix: {error}")
