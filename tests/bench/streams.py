"""``./sluice bench streams``: many slow streams at once for minutes, some of which are cut and go on; memory and CPU of
each process.

A gap is the time between two pieces of one stream that its client got. The stub sends a word each ``--gap`` ms.
"""

import asyncio
import contextlib
import re
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from deploy.local.errors import StackError
from services.cli.output import as_json, as_table, report
from tests.bench.load import percentile
from tests.bench.stacks import ENVIRONMENT, Measured, finish, measured_stack

DONE = b"data: [DONE]\n\n"
LOOK_S = 5.0
ACCOUNTS = 8
CUT_AFTER_PIECES = 20
_ID = re.compile(rb"^id: (\d+)$", re.MULTILINE)


@dataclass
class Seen:
    """What all clients saw."""

    gaps_s: list[float] = field(default_factory=list)
    first_s: list[float] = field(default_factory=list)
    whole: int = 0
    resumed: int = 0
    failed: list[str] = field(default_factory=list)


async def main(options: Namespace) -> None:
    """Measures and prints."""
    environment = ENVIRONMENT | {"SLUICE_LIMITS__CONNECTIONS_OF_ADDRESS": "8000"}
    async with measured_stack(options.kafka, accounts=ACCOUNTS, environment=environment) as measured:
        before, cpu = measured.memory_mib(), measured.cpu_s()
        seen, most, shares, watching = Seen(), dict(before), measured.share_mib(), asyncio.Event()
        watcher = asyncio.create_task(_watch(measured, most, shares, watching))
        report(f"{options.streams} streams for {options.seconds:.0f} s, a word each {options.gap} ms")
        began = time.perf_counter()
        killing = asyncio.create_task(_kill(measured, options))
        await read_all(measured.stack.base_url, (measured.key, *measured.more_keys), options, seen)
        took = time.perf_counter() - began
        watching.set()
        await watcher
        killing.cancel()
        spent = measured.cpu_s()
        found = _found(options, seen, took) | {
            "processes": [
                {
                    "process": name,
                    "MiB before": before[name],
                    "MiB most": most[name],
                    "MiB most, shared parts divided": shares[name],
                    "CPU s": round(spent[name] - cpu[name], 1),
                }
                for name in before
            ]
        }
    if options.json:
        as_json(found)
        return
    as_table([{name: value for name, value in found.items() if name != "processes"}], "")
    as_table(found["processes"], "")


def _found(options: Namespace, seen: Seen, took: float) -> dict[str, Any]:
    return {
        "streams": options.streams,
        "whole": seen.whole,
        "resumed": seen.resumed,
        "failed": len(seen.failed),
        "why": ", ".join(sorted(set(seen.failed))[:3]),
        "s": round(took),
        "first p50 ms": round(percentile(seen.first_s, 50) * 1000) if seen.first_s else None,
        "gap p50 ms": round(percentile(seen.gaps_s, 50) * 1000) if seen.gaps_s else None,
        "gap p99 ms": round(percentile(seen.gaps_s, 99) * 1000) if seen.gaps_s else None,
        "gap most ms": round(max(seen.gaps_s) * 1000) if seen.gaps_s else None,
    }


async def _watch(measured: Measured, most: dict[str, int], shares: dict[str, int], stop: asyncio.Event) -> None:
    while not stop.is_set():
        # A process that was killed has no memory until it is back.
        with contextlib.suppress(StackError):
            for of_all, look in ((most, measured.memory_mib), (shares, measured.share_mib)):
                # A while for all processes, in which the clients here read on.
                now = await asyncio.to_thread(look)
                of_all.update({name: max(mib, of_all.get(name, 0)) for name, mib in now.items()})
        try:
            async with asyncio.timeout(LOOK_S):
                await stop.wait()
        except TimeoutError:
            continue


async def _kill(measured: Measured, options: Namespace) -> None:
    """kill -9 of a process, in the middle."""
    if options.kill:
        await asyncio.sleep(options.ramp + options.seconds / 2)
        measured.stack.children[options.kill].kill()
        report(f"{options.kill} was killed")


async def read_all(url: str, keys: Sequence[str], options: Namespace, seen: Seen) -> None:
    """Reads all streams to their ends."""
    words = max(1, int(options.seconds * 1000 / options.gap))
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(None)) as http,
        asyncio.TaskGroup() as group,
    ):
        for number in range(options.streams):
            cut = number < options.streams * options.cut / 100
            reading = _Reading(http, url, keys[number % len(keys)], words, options.gap, seen)
            group.create_task(reading.run(cut=cut))
            # All at once would measure the door.
            await asyncio.sleep(options.ramp / options.streams)


class _Reading:
    """One client."""

    def __init__(self, http: aiohttp.ClientSession, url: str, key: str, words: int, gap_ms: int, seen: Seen) -> None:
        self._http = http
        self._url = url
        self._headers = {"Authorization": f"Bearer {key}", "X-Sluice-On-Disconnect": "continue"}
        text = f"[[stub chunks={words} gap_ms={gap_ms}]]"
        self._body = {"model": "stub/echo", "stream": True, "messages": [{"role": "user", "content": text}]}
        self._seen = seen
        self._last_id = b""
        self._last_s: float | None = None
        self._end = b""

    async def run(self, *, cut: bool) -> None:
        """Reads to the end; ``cut``: over two connections."""
        began = time.perf_counter()
        try:
            async with self._http.post(
                f"{self._url}/chat/completions", json=self._body, headers=self._headers
            ) as answer:
                if answer.status != 200:
                    self._seen.failed.append(f"status {answer.status}")
                    return
                self._seen.first_s.append(time.perf_counter() - began)
                stream = answer.headers["x-sluice-stream"]
                await self._take(answer, CUT_AFTER_PIECES if cut else None)
                if cut:
                    answer.close()
            if cut:
                self._seen.resumed += 1
                headers = self._headers | {"Last-Event-ID": self._last_id.decode()}
                async with self._http.get(f"{self._url}/streams/{stream}", headers=headers) as rest:
                    await self._take(rest, None)
        except aiohttp.ClientError as error:
            self._seen.failed.append(type(error).__name__)
            return
        if self._end.endswith(DONE):
            self._seen.whole += 1
        else:
            self._seen.failed.append("no end")

    async def _take(self, answer: aiohttp.ClientResponse, most: int | None) -> None:
        pieces = 0
        async for piece in answer.content.iter_any():
            now = time.perf_counter()
            if self._last_s is not None:
                self._seen.gaps_s.append(now - self._last_s)
            self._last_s = now
            self._end = (self._end + piece)[-1000:]
            pieces += 1
            # Who is not cut needs no ID, and this client shares the cores with what it measures.
            if most and (found := _ID.findall(self._end[: self._end.rfind(b"\n\n") + 2])):
                self._last_id = found[-1]
            if pieces == most:
                return


if __name__ == "__main__":
    parser = ArgumentParser(prog="sluice bench streams", description=__doc__)
    parser.add_argument("--streams", type=int, default=1_000, help="at once")
    parser.add_argument("--seconds", type=float, default=300, help="that each takes")
    parser.add_argument("--gap", type=int, default=1_000, help="milliseconds between a stream's words")
    parser.add_argument("--cut", type=float, default=10, help="percent that go on over another connection")
    parser.add_argument("--ramp", type=float, default=20, help="seconds in which they begin")
    parser.add_argument("--kill", choices=["broker", "router", "metering"], help="in the middle, by kill -9")
    parser.add_argument("--kafka", default="embedded", help="embedded or HOST:PORT")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    finish(main(parser.parse_args()))
