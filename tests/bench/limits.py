"""``./sluice bench limits``: kills and restarts at random times over each kind of limit; then the ledger is asked.

For as long as services are killed, each kind has one owner after another, who asks for far more than the limit and then
asks on: what a limit has forgotten would be let in. A seed chooses what is killed, and when; what the machine makes of
it is another matter.
"""

import sys
import time
from argparse import ArgumentParser, Namespace
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import orjson

from deploy.local import child as supervision
from deploy.local.home import ROOT
from services.cli.output import as_json, as_table, out
from tests.bench.limit_kills import Bench, Seen
from tests.bench.limit_kinds import FREE_REQUESTS
from tests.bench.stacks import finish, measured_stack
from tests.documents import put
from tests.faults.books import audited
from tests.forking import forked_services

ENVIRONMENT = {
    "SLUICE_TELEMETRY__SAMPLE_RATIO": "0",
    "SLUICE_TRUSTED_PROXIES": "1",
    "SLUICE_LIMITS__FREE_REQUESTS": str(FREE_REQUESTS),
    "SLUICE_TIMEOUTS__ROUTE_S": "30",
}
RESTART_MOST_S = 0.4
DOCUMENT = "docs/reliability.md"
RUNS = "docs/measurements/limits-runs.json"
RUNS_MARK = "limits runs"


async def main(options: Namespace) -> None:
    """Measures and prints."""
    supervision.RESTART_MOST_S = RESTART_MOST_S
    async with (
        forked_services() if options.forks else nullcontext(),
        measured_stack(options.kafka, environment=ENVIRONMENT) as measured,
    ):
        stack = measured.stack
        try:
            async with (
                httpx.AsyncClient(timeout=90, limits=httpx.Limits(max_connections=500), trust_env=False) as http,
                asyncpg.create_pool(stack.postgres.admin_url(), min_size=1, max_size=4) as database,
            ):
                seen = await Bench(stack, options, http, database).run()
                if seen.overruns and options.keep:
                    rows = await database.fetch("select * from ledger.usage order by request_id")
                    (options.keep / "usage.json").write_bytes(orjson.dumps([dict(row) for row in rows], default=str))
            books = await audited(stack)
        finally:
            if options.keep:
                for log in stack.logs.glob("*.log"):
                    (options.keep / log.name).write_bytes(log.read_bytes())
    _show(seen, options, books)
    if seen.overruns:
        sys.exit("\n".join(seen.overruns))
    if options.add:
        _add(_run(seen, options, books))


def _show(seen: Seen, options: Namespace, books: dict[str, Any]) -> None:
    rows = [
        {
            "limit": name,
            "owners": one.owners,
            "kills and restarts over it": one.kills,
            "overruns": one.over,
            "used of it": f"{one.least:.0%} to {one.most:.0%}",
        }
        for name, one in seen.found.items()
    ]
    if options.json:
        as_json(_run(seen, options, books) | {"rows": rows, "statuses": seen.statuses})
        return
    as_table(rows, "")
    out.print(f"\nseed {options.seed}; killed: {dict(seen.killed)}; restarted: {dict(seen.restarted)}")
    out.print(f"answers: {dict(sorted(seen.statuses.items()))}")
    out.print(f"audit: {books['accepted']} requests accepted, each ended once and is booked once")


def _run(seen: Seen, options: Namespace, books: dict[str, Any]) -> dict[str, int]:
    return {
        "seed": options.seed,
        "at once": options.together,
        "kill -9": seen.killed.total(),
        "restarts": seen.restarted.total(),
        "of rate-limit": seen.killed["rate-limit"] + seen.restarted["rate-limit"],
        "over each limit": min(one.kills for one in seen.found.values()),
        "owners": sum(one.owners for one in seen.found.values()),
        "requests accepted": books["accepted"],
        "overruns": len(seen.overruns),
    }


def _add(run: dict[str, int]) -> None:
    """Adds the run to those of the document."""
    file = ROOT / RUNS
    runs = [*orjson.loads(file.read_bytes()), run]
    file.write_bytes(orjson.dumps(runs, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    put(ROOT / DOCUMENT, RUNS_MARK, runs_table(runs))


def runs_table(runs: list[dict[str, int]]) -> str:
    """All runs without an overrun whose books are right: others end with an error, and are bugs to be mended first."""
    names = list(runs[0])
    lines = [names, ["---"] * len(names), *([str(run["seed"]), *_counts(run)] for run in runs)]
    lines.append(["**all**", "", *(f"**{sum(run[name] for run in runs):,}**" for name in names[2:])])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _counts(run: dict[str, int]) -> list[str]:
    return [f"{value:,}" for value in list(run.values())[1:]]


if __name__ == "__main__":
    parser = ArgumentParser(prog="sluice bench limits", description=__doc__)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of what is killed, and when")
    parser.add_argument("--kills", type=int, default=100, help="and restarts, in all")
    parser.add_argument("--minutes", type=float, default=15, help="at the most")
    parser.add_argument("--together", type=int, default=2, help="so many at once, at the most")
    parser.add_argument("--forks", action="store_true", help="services start as forks, without importing: more kills")
    parser.add_argument("--add", action="store_true", help=f"add the run to {RUNS} and to the table of {DOCUMENT}")
    parser.add_argument("--keep", type=Path, help="an existing folder, for the logs of the services")
    parser.add_argument("--kafka", default="embedded", help="embedded or HOST:PORT")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    finish(main(parser.parse_args()))
