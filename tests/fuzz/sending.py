"""Bytes to an ingress that runs, and what comes back."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from urllib.parse import urlsplit

ANSWER_WITHIN_S = 60.0
PATIENCE_S = 2.0
"""Of a client whose request may lack its end: then it leaves."""
AT_ONCE = 8


async def attack(base_url: str, requests: Iterable[tuple[str, bytes]]) -> tuple[Counter[str], list[tuple[str, str]]]:
    """Sends all of them, each on a connection of its own.

    Returns:
        How many of each kind were sent; and of those that were answered with 500, or whose connection did not end when
        the client's did, the kind and what it was.
    """
    port = urlsplit(base_url).port or 0
    sent, failed, places = Counter[str](), list[tuple[str, str]](), asyncio.Semaphore(AT_ONCE)

    async def one(kind: str, data: bytes) -> None:
        async with places:
            answer = await _answer(port, data)
        sent[kind] += 1
        if answer is None or b"HTTP/1.1 500" in answer:
            failed.append((kind, f"{'no end' if answer is None else answer[:200]!r} after {data[:1_000]!r}"))

    await asyncio.gather(*(one(kind, data) for kind, data in requests))
    return sent, failed


async def _answer(port: int, data: bytes) -> bytes | None:
    """All that comes until the connection ends; None where it does not."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(data)
                found = b""
                with suppress(TimeoutError):
                    async with asyncio.timeout(PATIENCE_S):
                        found = await reader.read(65_536)
                writer.write_eof()
                return found + await reader.read()
            finally:
                writer.close()
    except TimeoutError:
        return None
    except (ConnectionError, OSError):
        return b""
