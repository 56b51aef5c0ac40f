"""Webhooks: one signed POST a record."""

import asyncio
import time
from collections.abc import Sequence

from libs.config.sinks import WebhookSink
from libs.outbound.signatures import secrets_of
from services.sinks.core.events import Event
from services.sinks.core.webhooks import body_of, headers_of
from services.sinks.http import Http
from services.sinks.sink import RefusedError, SinkError, UnavailableError


class Webhook:
    """Sends a batch some at a time; after the first failure it begins no further one."""

    def __init__(self, config: WebhookSink, secret: str) -> None:
        """Raises ValueError where the secret is none."""
        self.most_events = 4 * config.concurrency
        self._keys = secrets_of(secret)
        self._http = Http(config.url, config.timeout_s, private=config.private)
        self._places = asyncio.Semaphore(config.concurrency)

    async def start(self) -> None:
        """Makes a client."""
        await self._http.start()

    async def stop(self) -> None:
        """Closes it."""
        await self._http.stop()

    async def deliver(self, events: Sequence[Event]) -> None:
        """See `Sink.deliver`."""
        taken: list[str] = []
        failures: list[SinkError] = []

        async def send(event: Event) -> None:
            async with self._places:
                if any(isinstance(one, UnavailableError) for one in failures):
                    return
                body = body_of(event)
                try:
                    await self._http.post(body, headers_of(event, body, self._keys, int(time.time())))
                except SinkError as error:
                    failures.append(error)
                else:
                    taken.append(event.id)

        await asyncio.gather(*map(send, events))
        for failure in failures:
            if isinstance(failure, UnavailableError):
                raise UnavailableError(str(failure), taken, after_s=failure.after_s)
        if failures:
            raise RefusedError(str(failures[0]), taken)
