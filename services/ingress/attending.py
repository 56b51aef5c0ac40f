"""Clients that read from the log: until they leave, or have read for long."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import Receive

from contracts.record import Refusal
from services.ingress.reading import Reading
from services.ingress.waiting import Replies

READS_S = 900.0
"""Who wants more asks again, with the last ID."""
LEFT = Refusal(status=499, message="The client closed the connection.")
OVER = Refusal(status=503, message="This connection has been open for long; ask again with the last ID.")


@contextmanager
def attended(reading: Reading, receive: Receive) -> Iterator[None]:
    """Ends a reading when its client leaves, or after `READS_S`."""
    watcher = asyncio.create_task(watch_connection(receive, reading, LEFT))
    over = asyncio.get_running_loop().call_later(READS_S, reading.fail, OVER)
    try:
        yield
    finally:
        over.cancel()
        watcher.cancel()


async def watch_connection(receive: Receive, replies: Replies, left: Refusal) -> None:
    """Ends the replies when the client closes its connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
    replies.fail(left)
