"""Fewer and fuller requests to the broker where there is much to carry, and each at once where there is little.

A fetch or a produce request costs client and broker about the same whether it carries one record or fifty, and under
load nine processes made most of theirs for one or two. So a client has an allowance of requests: while it lasts a
record goes the moment it is there; when it is used up the next request waits until there is one again, and what comes
meanwhile goes with it. ADR 27 has the measurement. aiokafka has `linger_ms`, which delays an idle client as well.
"""

import asyncio
from typing import Any

from aiokafka.consumer.fetcher import Fetcher
from aiokafka.producer.message_accumulator import MessageAccumulator

REQUESTS_PER_S = 150.0
"""Of one consumer, to one broker, and of one producer: a record waits for 7 ms at the most, and for none on average
until there are so many requests."""
BURST = 16.0
"""More at once: one request of a client alone causes a few in a row."""


class Allowance:
    """So many requests a second, and some more at once. Time is an argument."""

    __slots__ = ("_burst", "_left", "_per_s", "_since_s")

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._left = burst
        self._since_s = 0.0

    def wait_s(self, now_s: float) -> float:
        """Until the next one may be used; 0 while there are some."""
        self._left = min(self._burst, self._left + (now_s - self._since_s) * self._per_s)
        self._since_s = now_s
        return 0.0 if self._left >= 1 else (1 - self._left) / self._per_s

    def take(self) -> None:
        """Uses one."""
        self._left -= 1


_fetch = Fetcher._proc_fetch_request
_drain = MessageAccumulator.drain_by_nodes


async def _paced_fetch(fetcher: Any, *arguments: Any) -> Any:
    """In place of `Fetcher._proc_fetch_request`, which asks one broker; meanwhile no other request goes there."""
    allowance = _allowance_of(fetcher)
    if wait_s := allowance.wait_s(asyncio.get_running_loop().time()):
        try:
            await asyncio.sleep(wait_s)
        except asyncio.CancelledError:
            # As the original does: the consumer stops, or has other partitions now.
            return False
    allowance.take()
    return await _fetch(fetcher, *arguments)


def _paced_drain(accumulator: Any, *arguments: Any, **options: Any) -> Any:
    """In place of `MessageAccumulator.drain_by_nodes`, which gives what is to be sent now, by broker."""
    loop, allowance = accumulator._loop, _allowance_of(accumulator)
    wait_s = allowance.wait_s(loop.time()) if accumulator._batches else 0.0
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
        found = client.sluice_allowance = Allowance(REQUESTS_PER_S, BURST)
    return found


def pace_requests() -> None:
    """From now on this process's Kafka clients ask no more often than `REQUESTS_PER_S`, but for bursts."""
    Fetcher._proc_fetch_request = _paced_fetch
    MessageAccumulator.drain_by_nodes = _paced_drain
