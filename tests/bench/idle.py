"""``./sluice bench idle``: what a stack costs that has nothing to do."""

import asyncio
import json
import sys
from argparse import ArgumentParser, Namespace

from services.cli.output import as_table, say
from tests.bench.stacks import measured_stack

SETTLE_S = 15


async def main(options: Namespace) -> None:
    """Starts a stack, waits until it has settled, and counts its CPU."""
    async with measured_stack(options.kafka) as measured:
        say(f"{SETTLE_S} s to settle, then {options.seconds:.0f} s")
        await asyncio.sleep(SETTLE_S)
        before = measured.cpu_s()
        await asyncio.sleep(options.seconds)
        after, memory = measured.cpu_s(), measured.memory_mib()
    cores = {name: round((after[name] - before[name]) / options.seconds, 4) for name in after}
    rows = [{"process": name, "cores": cores[name], "memory MiB": memory[name]} for name in cores]
    rows.append({"process": "all", "cores": round(sum(cores.values()), 3), "memory MiB": sum(memory.values())})
    if options.json:
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
    else:
        as_table(rows, "")


if __name__ == "__main__":
    parser = ArgumentParser(prog="sluice bench idle", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--kafka", default="embedded", help="embedded or HOST:PORT")
    parser.add_argument("--json", action="store_true", help="one JSON value on stdout")
    asyncio.run(main(parser.parse_args()))
