"""Fewer and fuller requests to the broker where there is much to carry, and each at once where there is little.

A fetch or a produce request costs client and broker about the same whether it carries one record or fifty, and under
load nine processes made most of theirs for one or two. So a client has an allowance of requests: while it lasts a
record goes the moment it is there; when it is used up the next request waits until there is one again, and what comes
meanwhile goes with it. ADR 27 has the measurement. aiokafka has `linger_ms`, which delays an idle client as well.
"""

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any

from aiokafka.consumer.fetcher import Fetcher
from aiokafka.producer.message_accumulator import MessageAccumulator

REQUESTS_PER_S = 150.0
"""Of one consumer, to one broker, and of one producer: a record waits for 7 ms at the most, and for none on average
until there are so many requests."""
QUIET_REQUESTS_PER_S = 600.0
"""The same in a process that has little to do: who is alone does not wait for company. A router needs three fetches for
one request's four records."""
QUIET_BELOW_PER_S = 700.0
"""Records that a process receives and publishes. With one request after the other a relay has 640 a second, the most of
all; with 16 at a time the services have 660 to 2,600."""
REMEMBERED_S = 0.5
BURST = 16.0
"""More at once: one request of a client alone causes a few in a row."""


class Rate:
    """So many a second, of late. Time is an argument."""

    __slots__ = ("_per_s", "_since_s")

    def __init__(self) -> None:
        self._per_s = 0.0
        self._since_s = 0.0

    def per_s(self, now_s: float) -> float:
        """What is older than `REMEMBERED_S` hardly counts."""
        self._per_s *= math.exp((self._since_s - now_s) / REMEMBERED_S)
        self._since_s = now_s
        return self._per_s

    def add(self, count: int, now_s: float) -> None:
        """Counts some."""
        self._per_s = self.per_s(now_s) + count / REMEMBERED_S


_RECORDS = Rate()


def count_records(count: int) -> None:
    """This process has received or published some."""
    _RECORDS.add(count, time.monotonic())


class Allowance:
    """So many requests a second, and some more at once. Time is an argument."""

    __slots__ = ("_burst", "_left", "_since_s")

    def __init__(self, burst: float) -> None:
        self._burst = burst
        self._left = burst
        self._since_s = 0.0

    def wait_s(self, now_s: float, per_s: float) -> float:
        """Until the next one may be used; 0 while there are some.

        Args:
            per_s: how many there are a second, since the last time.
        """
        self._left = min(self._burst, self._left + (now_s - self._since_s) * per_s)
        self._since_s = now_s
        return 0.0 if self._left >= 1 else (1 - self._left) / per_s

    def take(self) -> None:
        """Uses one."""
        self._left -= 1


_drain = MessageAccumulator.drain_by_nodes


def _paced(fetch: Callable[..., Any]) -> Callable[..., Any]:
    """Of `Fetcher._proc_fetch_request`, which asks one broker; meanwhile no other request goes there."""

    async def paced_fetch(fetcher: Any, *arguments: Any) -> Any:
        allowance = _allowance_of(fetcher)
        if wait_s := _wait_s(allowance):
            try:
                await asyncio.sleep(wait_s)
            except asyncio.CancelledError:
                # As the original does: the consumer stops, or has other partitions now.
                return False
        allowance.take()
        return await fetch(fetcher, *arguments)

    return paced_fetch


def _paced_drain(accumulator: Any, *arguments: Any, **options: Any) -> Any:
    """In place of `MessageAccumulator.drain_by_nodes`, which gives what is to be sent now, by broker."""
    loop, allowance = accumulator._loop, _allowance_of(accumulator)
    wait_s = _wait_s(allowance) if accumulator._batches else 0.0
    if not wait_s:
        nodes, unknown_leaders = _drain(accumulator, *arguments, **options)
        if nodes:
            allowance.take()
        return nodes, unknown_leaders
    # As if all of it lingered.
    if not accumulator._waiter_future.done():
        accumulator._waiter_future.set_result(None)
    accumulator._waiter_future = loop.create_future()
    if accumulator._wakeup_handle:
        accumulator._wakeup_handle.cancel()
    accumulator._wakeup_handle = loop.call_later(wait_s, accumulator._wakeup, accumulator._waiter_future)
    return {}, False


def _allowance_of(client: Any) -> Allowance:
    found: Allowance | None = getattr(client, "sluice_allowance", None)
    if found is None:
        found = client.sluice_allowance = Allowance(BURST)
    return found


def _wait_s(allowance: Allowance) -> float:
    now_s = time.monotonic()
    quiet = _RECORDS.per_s(now_s) < QUIET_BELOW_PER_S
    return allowance.wait_s(now_s, QUIET_REQUESTS_PER_S if quiet else REQUESTS_PER_S)


def pace_requests() -> None:
    """From now on this process's Kafka clients ask no more often than `REQUESTS_PER_S`, but for bursts."""
    Fetcher._proc_fetch_request = _paced(Fetcher._proc_fetch_request)
    MessageAccumulator.drain_by_nodes = _paced_drain
