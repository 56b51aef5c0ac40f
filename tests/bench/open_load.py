"""Load that comes at a rate, whatever becomes of it: requests are sent when they are due."""

import asyncio
import random
import time
from dataclasses import dataclass, field

from tests.bench.load import Connection, Sample, percentile

MOST_CONNECTIONS = 1_000
TICK_S = 0.004


@dataclass(slots=True)
class Sent:
    """What became of the requests of one sender; times in seconds from the load's beginning."""

    seconds: float = 0.0
    samples: list[tuple[float, Sample]] = field(default_factory=list)
    """When each was sent, and its answer."""
    failed: int = 0
    """Connections that broke."""
    unsent: int = 0
    """Due, but no connection was free or could be opened."""

    def ms(self, percent: float, *, refused: bool = False) -> float:
        """A percentile of the time of requests that were answered with 200, or of those that were refused."""
        chosen = [sample.total_s for _, sample in self.samples if (sample.status != 200) == refused]
        return percentile(chosen, percent) * 1000

    @property
    def answered(self) -> int:
        """With 200."""
        return sum(1 for _, sample in self.samples if sample.status == 200)

    @property
    def refused(self) -> int:
        """With 429 or 503."""
        return sum(1 for _, sample in self.samples if sample.status in (429, 503))


async def send(host: str, port: int, raw: bytes, *, rate: float, seconds: float) -> Sent:
    """Sends so many requests a second, at random times, and waits for all answers."""
    sent, idle, tasks = Sent(seconds), list[Connection](), set[asyncio.Task[None]]()
    loop, chance, opened = asyncio.get_running_loop(), random.Random(1), 0

    async def one(due_s: float) -> None:
        nonlocal opened
        if idle:
            connection = idle.pop()
        elif opened < MOST_CONNECTIONS:
            opened += 1
            try:
                _, connection = await loop.create_connection(Connection, host, port)
            except OSError:
                opened -= 1
                sent.failed += 1
                return
        else:
            sent.unsent += 1
            return
        try:
            sent.samples.append((due_s, await connection.request(raw)))
        except (OSError, RuntimeError):
            # The server has closed it, before or meanwhile; uvloop says so in an error of its own.
            opened -= 1
            sent.failed += 1
            return
        if connection.closed:
            opened -= 1
        else:
            idle.append(connection)

    started = time.perf_counter()
    due_s = chance.expovariate(rate)
    while due_s < seconds:
        now_s = time.perf_counter() - started
        while due_s <= now_s and due_s < seconds:
            task = loop.create_task(one(due_s))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            due_s += chance.expovariate(rate)
        await asyncio.sleep(TICK_S)
    await asyncio.gather(*tasks)
    for connection in idle:
        connection.close()
    return sent
