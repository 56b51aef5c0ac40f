"""ClickHouse, by its HTTP interface: rows of one table; its DDL is in docs/sinks.md."""

import hashlib
import json
from collections.abc import Sequence
from urllib.parse import urlencode

from libs.config.sinks import ClickHouseSink
from services.sinks.core.events import Event
from services.sinks.core.rows import COLUMNS, row_of
from services.sinks.http import Http


class ClickHouse:
    """One INSERT a batch, which ClickHouse takes whole or not at all."""

    most_events = 500

    def __init__(self, config: ClickHouseSink, password: str) -> None:
        self._insert = f"INSERT INTO `{config.database}`.`{config.table}` ({', '.join(COLUMNS)}) FORMAT JSONEachRow"
        self._http = Http(config.url, config.timeout_s, private=config.private)
        self._headers = {"X-ClickHouse-User": config.user, "content-type": "application/x-ndjson"}
        if password:
            self._headers["X-ClickHouse-Key"] = password

    async def start(self) -> None:
        """Makes a client."""
        await self._http.start()

    async def stop(self) -> None:
        """Closes it."""
        await self._http.stop()

    async def deliver(self, events: Sequence[Event]) -> None:
        """See `Sink.deliver`."""
        rows = "\n".join(json.dumps(row_of(event), ensure_ascii=False) for event in events)
        token = hashlib.sha256("".join(event.id for event in events).encode()).hexdigest()
        # A batch that comes again as it was is dropped there; what is cut otherwise, ReplacingMergeTree makes one.
        query = urlencode({"query": self._insert, "insert_deduplication_token": token, "wait_end_of_query": "1"})
        await self._http.post(rows.encode(), self._headers, path=f"/?{query}")
