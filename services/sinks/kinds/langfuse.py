"""Langfuse, by its OpenTelemetry endpoint."""

import base64
import json
from collections.abc import Sequence

from libs.config.sinks import LangfuseSink
from services.sinks.core.events import Event
from services.sinks.core.spans import spans_of
from services.sinks.http import Http
from services.sinks.sink import RefusedError

PATH = "/api/public/otel/v1/traces"


class Langfuse:
    """One export a batch."""

    most_events = 200

    def __init__(self, config: LangfuseSink, public_key: str, secret_key: str) -> None:
        self._http = Http(config.url, config.timeout_s, private=config.private)
        basic = base64.b64encode(f"{public_key}:{secret_key}".encode()).decode()
        self._headers = {
            "authorization": f"Basic {basic}",
            "content-type": "application/json",
            "x-langfuse-ingestion-version": "4",
        }

    async def start(self) -> None:
        """Makes a client."""
        await self._http.start()

    async def stop(self) -> None:
        """Closes it."""
        await self._http.stop()

    async def deliver(self, events: Sequence[Event]) -> None:
        """See `Sink.deliver`."""
        answer = await self._http.post(json.dumps(spans_of(events)).encode(), self._headers, path=PATH)
        if _rejected(answer.body):
            raise RefusedError("spans were rejected")


def _rejected(body: bytes) -> int:
    try:
        return int(json.loads(body)["partialSuccess"]["rejectedSpans"])
    except (ValueError, KeyError, TypeError):
        return 0
