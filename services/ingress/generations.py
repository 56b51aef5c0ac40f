"""``GET /generation?id=`` and ``GET /requests/{id}``: one request that has ended, read from the log (ADR 30)."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
from aiokafka.errors import KafkaError
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from contracts import topics
from contracts.clock import now_ms
from contracts.usage import UsageRecorded
from libs.bus.service import Service
from libs.config.gateway import Timeouts
from libs.config.versions import CatalogVersions
from libs.pricing.charging import Cost
from services.ingress.core.answers import refused, whole
from services.ingress.core.errors import IngressError, NotFound, RateLimited, Unauthorized, Unavailable
from services.ingress.core.generations import may_see, request_id_of
from services.ingress.visitors import Visitor, Visitors

MOST_READS = 8
"""At a time, and one for each owner: each is a connection to the broker."""
MOST_RECORDS = 50_000
"""That are looked at: what a partition has in a minute of 800 requests a second."""
READ_WITHIN_S = 5.0
NEW_WITHIN_S = 1.0
"""A request that has just ended is on the log a moment later than its answer."""
AGAIN_S = 0.1
SKEW_MS = 5_000
LATE_MS = 60_000
_NOT_FOUND = "There is no request {!r} of yours that has ended within the last 30 days."


class Generations:
    """Looks requests up. A request's ID has its time, and its owner the partition: so little is read."""

    def __init__(self, service: Service, timeouts: Timeouts) -> None:
        self._service = service
        self._most_ms = int(timeouts.request_s * 1000)
        self._reads = asyncio.Semaphore(MOST_READS)
        self._reading: set[str] = set()

    async def find(self, visitor: Visitor, text: str) -> UsageRecorded:
        """The usage of a request that the visitor may see.

        Raises:
            Unauthorized, NotFound, RateLimited, Unavailable: there is none, or it cannot be read now.
        """
        caller = visitor.caller
        if caller is None:
            raise Unauthorized("A request is an account's: send `Authorization: Bearer <api key>`.")
        request_id = request_id_of(text)
        missing = NotFound(_NOT_FOUND.format(text[:80]))
        if request_id is None:
            raise missing
        if caller.owner in self._reading:
            raise RateLimited("Another request is being looked up for you; ask one after the other.", retry_after_s=1)
        self._reading.add(caller.owner)
        try:
            async with asyncio.timeout(READ_WITHIN_S), self._reads:
                # Requests for free models count by address.
                found = await self._read(str(request_id), request_id.int >> 80, (caller.owner, f"ip:{visitor.address}"))
        except (KafkaError, TimeoutError):
            raise Unavailable("The request cannot be read now; try again in a moment.", retry_after_s=1) from None
        finally:
            self._reading.discard(caller.owner)
        if found is None or not may_see(caller, found):
            raise missing
        return found

    async def _read(self, request_id: str, accepted_ms: int, subjects: tuple[str, ...]) -> UsageRecorded | None:
        if accepted_ms > now_ms() + SKEW_MS:
            return None
        until_ms = accepted_ms + self._most_ms + LATE_MS
        deadline_ms = now_ms() + int(NEW_WITHIN_S * 1000)
        while True:
            for subject in subjects:
                found = await self._service.find_about(
                    topics.USAGE,
                    subject,
                    request_id,
                    since_ms=max(0, accepted_ms - SKEW_MS),
                    until_ms=until_ms,
                    most=MOST_RECORDS,
                )
                if found:
                    return found.record
            if now_ms() > min(deadline_ms, until_ms):
                return None
            await asyncio.sleep(AGAIN_S)


class GenerationPage:
    """The ASGI application of one page about one request."""

    def __init__(
        self,
        visitors: Visitors,
        generations: Generations,
        versions: CatalogVersions,
        show: Callable[[UsageRecorded, Cost], dict[str, Any]],
    ) -> None:
        self._visitors = visitors
        self._generations = generations
        self._versions = versions
        self._show = show

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request; the ID is in the path, or in the query as ``id``."""
        request = Request(scope, receive)
        try:
            visitor = await self._visitors.visitor(scope)
            text = request.path_params.get("id") or request.query_params.get("id", "")
            found = await self._generations.find(visitor, text)
            messages = whole(200, orjson.dumps(self._show(found, self._versions.cost(found))), [])
        except IngressError as error:
            messages = refused(error.refusal, [])
        for message in messages:
            await send(message)
