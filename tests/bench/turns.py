"""``./sluice bench turns``: this tree and a commit of Sluice, both running, loaded in turn for a few seconds each.

For changes of a few percent, which the record cannot tell from what the machine does between two rounds. Both share
the machine, so that their absolute figures say nothing.
"""

import argparse
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from deploy.local.home import ROOT
from services.cli.output import report
from tests.bench.contenders import Running, sluice, stub, worktree
from tests.bench.sides import Side, in_turns, show
from tests.bench.stacks import finish

STREAMS_WITHIN_S = 60


async def main(options: argparse.Namespace) -> None:
    """Measures and prints."""
    load: dict[str, Any] = {"connections": options.connections, "seconds": options.seconds}
    if options.streams:
        load |= {"seconds": STREAMS_WITHIN_S, "stream": True, "each": options.streams}
    with worktree(options.against) as tree, tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        async with AsyncExitStack() as kept:
            url = await kept.enter_async_context(stub(Path(folder)))
            running: list[Running] = []
            for where in (tree, ROOT):
                report(f"{where.name} starts")
                running.append(await kept.enter_async_context(sluice(where, url)()))
            report("both warm up")
            for one in running * 2:
                await one.drive(connections=16, seconds=options.warm_up / 2)
                await one.drive(**load)
            first, second = _side(options.against, running[0]), _side("this tree", running[1])
            await in_turns(first, second, rounds=options.rounds, **load)
    show(first, second, as_json=options.json)


def _side(name: str, running: Running) -> Side:
    return Side(name, running.drive, lambda: sum(running.cpu_s().values()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="sluice bench turns", description=__doc__)
    parser.add_argument("--against", required=True, metavar="COMMIT")
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=4, help="of each round of requests, on each side")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument(
        "--streams",
        type=int,
        default=0,
        metavar="N",
        help="streams instead: so many a connection and round, in a minute at the most",
    )
    parser.add_argument("--warm-up", type=float, default=30, help="seconds on each side that are not counted")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    finish(main(parser.parse_args()))
