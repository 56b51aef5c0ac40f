"""Requests as bytes for `tests.bench.load`, and load of many keys at several ingresses."""

import asyncio
import itertools
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

import orjson
import uvloop

from tests.bench.load import Result, raw_post, run

PROMPT = " ".join(["word"] * 400)
STREAM = " [[stub chunks=200 gap_ms=5]]"
"""Has the stub provider stream so."""
NO_HEADERS: Mapping[str, str] = {}


def body(*, stream: bool = False, model: str = "stub/echo") -> bytes:
    """Of a chat completion."""
    content = PROMPT + (STREAM if stream else "")
    return orjson.dumps({"model": model, "stream": stream, "messages": [{"role": "user", "content": content}]})


def traceparent(trace_id: str, *, sampled: bool) -> str:
    """A W3C header for a new step of this trace."""
    return f"00-{trace_id}-{secrets.token_hex(8)}-{'01' if sampled else '00'}"


class Door:
    """Chat completions of one model at one ingress, or at another gateway or provider that has them."""

    def __init__(self, base_url: str, model: str = "stub/echo", headers: Mapping[str, str] = NO_HEADERS) -> None:
        """
        Args:
            headers: of each request, beside the usual ones.
        """
        self._headers = headers
        self._bodies = {stream: body(stream=stream, model=model) for stream in (False, True)}
        parts = urlsplit(f"{base_url}/chat/completions")
        assert parts.hostname and parts.port
        self.host, self.port, self._path = parts.hostname, parts.port, parts.path

    def request(self, key: str, traceparent: str | None = None, *, stream: bool = False) -> bytes:
        """A request with this key."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}", **self._headers}
        if traceparent:
            headers["traceparent"] = traceparent
        return raw_post(self.host, self.port, self._path, self._bodies[stream], headers)

    async def keep_busy(self, make: bytes | Callable[[], bytes], *, connections: int, seconds: float) -> Result:
        """So many requests at a time.

        Args:
            make: the bytes of all requests, or of the next.
        """
        return await run(self.host, self.port, make, connections=connections, seconds=seconds)

    async def load(
        self, key: str, *, connections: int, seconds: float, stream: bool = False, each: int | None = None
    ) -> Result:
        """The same request again and again; see `tests.bench.load.run`.

        In a thread with a loop of its own, which is faster than one that watches children.
        """
        raw = self.request(key, stream=stream)
        load = run(self.host, self.port, raw, connections=connections, seconds=seconds, each=each)
        return await asyncio.to_thread(lambda: uvloop.run(load))


async def drive(doors: Sequence[Door], keys: Sequence[str], *, connections: int, seconds: float) -> Result:
    """So many requests at a time, shared among the ingresses, each with the next key.

    In a thread with a loop of its own.
    """

    async def all_of_them() -> Result:
        began_s = time.perf_counter()
        shares = [len(range(number, connections, len(doors))) for number in range(len(doors))]
        results = await asyncio.gather(
            *(
                door.keep_busy(_next(door, keys), connections=share, seconds=seconds)
                for door, share in zip(doors, shares, strict=True)
            )
        )
        samples = list(itertools.chain.from_iterable(result.samples for result in results))
        return Result(time.perf_counter() - began_s, samples)

    return await asyncio.to_thread(lambda: uvloop.run(all_of_them()))


def _next(door: Door, keys: Sequence[str]) -> bytes | Callable[[], bytes]:
    if len(keys) == 1:
        return door.request(keys[0])
    turn = itertools.cycle(keys)
    return lambda: door.request(next(turn))
