"""A client of its own process beside a load: what it waits for is the gateway, and not the load's generator.

Reads the bytes of a request from stdin, sends it over one connection so many times a second, and writes a JSON list of
``[status, seconds]`` when its time is over.
"""

import asyncio
import sys
import time

import orjson
import uvloop

from tests.bench.load import Connection, Sample


async def probe(host: str, port: int, raw: bytes, *, rate: float, seconds: float) -> list[Sample]:
    """One request after the other, each when it is due; one that takes longer delays the next."""
    samples: list[Sample] = []
    connection: Connection | None = None
    loop, started = asyncio.get_running_loop(), time.perf_counter()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
        if time.perf_counter() - started > seconds:
            break
        try:
            if connection is None or connection.closed:
                _, connection = await loop.create_connection(Connection, host, port)
            samples.append(await connection.request(raw))
        except (OSError, RuntimeError):
            connection = None
    return samples


async def beside(host: str, port: int, raw: bytes, *, rate: float, seconds: float) -> list[Sample]:
    """The same from a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.bench.probe",
        *(host, str(port), str(rate), str(seconds)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate(raw)
    return [Sample(total_s, total_s, status) for status, total_s in orjson.loads(printed)]


if __name__ == "__main__":
    where, number, often, long = sys.argv[1:]
    found = uvloop.run(probe(where, int(number), sys.stdin.buffer.read(), rate=float(often), seconds=float(long)))
    sys.stdout.buffer.write(orjson.dumps([[sample.status, sample.total_s] for sample in found]))
