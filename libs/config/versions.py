"""The versions of the catalog that a service knows, and which of them counts."""

import asyncio
from collections.abc import Callable

import structlog
from pydantic import ValidationError

from contracts.catalog import CatalogPublished
from contracts.clock import now_ms
from contracts.usage import UsageRecorded
from libs.config.catalog import Catalog
from libs.pricing.charging import Cost, cost_of

log = structlog.get_logger()

MOST_BUILT = 8
"""Catalogs that are kept built; others are built again when a record names them."""
WAIT_S = 1.0
"""For a version that a record names and this process does not have yet: views are apart by milliseconds."""
MINUTE_WAIT_S = 2.0
"""Of each minute, altogether: who may write requests cannot hold a service up with versions that never come."""
SUPERSEDED_MS = 60_000
"""How long requests of a version are served after the next one has come: those that were under way."""


class CatalogVersions:
    """Fed by a view of ``control.catalog``; see `changed`. A version that cannot be read leaves the ones before it."""

    def __init__(self, clock: Callable[[], int] = now_ms) -> None:
        self._clock = clock
        self._records: dict[int, CatalogPublished] = {}
        self._built: dict[int, Catalog] = {}
        self._newest: Catalog | None = None
        self._changed = asyncio.Event()
        self._minute = 0
        self._waited_s = 0.0

    @property
    def ready(self) -> bool:
        """There is a version."""
        return self._newest is not None

    @property
    def newest(self) -> Catalog:
        """What is accepted now is served by it. There must be one, see `wait_ready`."""
        assert self._newest is not None
        return self._newest

    async def wait_ready(self) -> None:
        """Returns once there is a version: the first one comes when the console has started."""
        while not self.ready:
            await self._next_change()

    def changed(self, key: str, record: CatalogPublished | None) -> None:
        """Takes in a version, or its end."""
        if record is None:
            self._records.pop(int(key), None)
            self._built.pop(int(key), None)
        else:
            self._records[record.version] = record
            if self._newest is None or record.version > self._newest.version:
                self._newest = self.find(record.version) or self._newest
        self._changed.set()
        self._changed = asyncio.Event()

    def find(self, version: int) -> Catalog | None:
        """A version; None where it is not known, or cannot be read."""
        found = self._built.get(version)
        record = self._records.get(version)
        if found is not None or record is None:
            return found
        try:
            found = Catalog.of(record)
        except ValidationError:
            log.error("a version of the catalog cannot be read", version=version)
            return None
        while len(self._built) >= MOST_BUILT:
            del self._built[min(self._built)]
        self._built[version] = found
        return found

    async def known(self, version: int) -> Catalog | None:
        """The same, but one that may be on its way is waited for, for a moment."""
        found = self.find(version)
        if found is not None or version <= (self._newest.version if self._newest else 0):
            return found
        loop = asyncio.get_running_loop()
        if self._minute != (minute := int(loop.time() // 60)):
            self._minute, self._waited_s = minute, 0.0
        began, left_s = loop.time(), min(WAIT_S, MINUTE_WAIT_S - self._waited_s)
        if left_s > 0:
            try:
                async with asyncio.timeout(left_s):
                    while (found := self.find(version)) is None:
                        await self._next_change()
            except TimeoutError:
                log.warning("a record names a version of the catalog that does not come", version=version)
            self._waited_s += loop.time() - began
        return found

    def serves(self, version: int) -> bool:
        """Requests of it are served: it is the newest, or was a moment ago. Old prices are nobody's choice."""
        if self._newest is None or version == self._newest.version:
            return self._newest is not None
        later = self._records.get(version + 1)
        return later is not None and self._clock() - later.published_at_ms < SUPERSEDED_MS

    def cost(self, usage: UsageRecorded) -> Cost:
        """What a request costs by the version that it was accepted under."""
        catalog = self.find(usage.catalog_version)
        price = catalog.price(usage.model, usage.provider_id, usage.accepted_at_ms) if catalog else None
        return cost_of(usage, price)

    async def _next_change(self) -> None:
        await self._changed.wait()
