"""Bytes to an ingress that runs, and what comes back."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

ANSWER_WITHIN_S = 60.0
PATIENCE_S = 2.0
"""Of a client whose request may lack its end: then it leaves."""
AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of them."""

    sent: Counter[str] = field(default_factory=Counter)
    """By kind."""
    statuses: Counter[str] = field(default_factory=Counter)
    """Of the first answers; empty where the connection ended without one."""
    failed: list[tuple[str, str]] = field(default_factory=list)
    """Of those that were answered with 500, or whose connection did not end when the client's did, the kind and what it
    was."""


async def attack(base_url: str, requests: Iterable[tuple[str, bytes]]) -> Seen:
    """Sends all of them, each on a connection of its own."""
    port = urlsplit(base_url).port or 0
    seen, places = Seen(), asyncio.Semaphore(AT_ONCE)

    async def one(kind: str, data: bytes) -> None:
        async with places:
            answer = await _answer(port, data)
        seen.sent[kind] += 1
        seen.statuses[(answer or b"")[9:12].decode("latin-1")] += 1
        if answer is None or b"HTTP/1.1 500" in answer:
            seen.failed.append((kind, f"{'no end' if answer is None else answer[:200]!r} after {data[:1_000]!r}"))

    await asyncio.gather(*(one(kind, data) for kind, data in requests))
    return seen


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
