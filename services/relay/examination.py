"""Attempts of other relays that have no end on the log: does the relay that began them live?"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from contracts import headers as names
from contracts import topics
from contracts.attempts import AttemptEnded
from contracts.clock import now_ms
from contracts.headers import header
from contracts.prompts import PromptSubmitted
from contracts.record import Lasting, Refusal, RequestId
from contracts.replies import EVENTS, Outcome, ReplyChunk, ReplyStarted
from contracts.requests import AddressedRequest
from contracts.services import RELAY_GROUP
from libs.bus.admin import group_members
from libs.bus.reading import read_to_end
from libs.bus.records import PoisonError, Received, decode
from libs.bus.service import Service
from libs.chat.event_ids import numbered
from libs.chat.surfaces.registry import DIALECTS, delivered_bytes
from libs.sealing.hybrid import SealError
from libs.sealing.kept import SEAL_BYTES
from libs.sealing.replies import open_reply
from services.relay.core.ending import Ending, failed
from services.relay.core.estimating import from_text
from services.relay.core.intake import Examine

log = structlog.get_logger()

INTERRUPTED = Refusal(
    status=502, message="The relay that served this request died; what came before is all there is. Try again."
)


class Examination:
    """The attempts of one assignment that a relay began elsewhere. The group knows who is alive (ADR 5)."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._open: dict[RequestId, Examine] = {}
        self._round: asyncio.Task[None] | None = None

    def add(self, examine: Examine) -> None:
        """Examines one more."""
        self._open[examine.route.request_id] = examine

    def look(
        self,
        on_ended: Callable[[AttemptEnded], Awaitable[None]],
        on_interrupted: Callable[[Examine, Ending], None],
        prompt_of: Callable[[RequestId], PromptSubmitted | None],
    ) -> None:
        """Begins a round, unless one goes on: new records do not wait for it.

        Args:
            on_ended: given the end of an attempt that has ended after all.
            on_interrupted: given an attempt whose relay is dead, and what that had delivered.
            prompt_of: has the key of an answer that is sealed.
        """
        if not self._open or (self._round and not self._round.done()):
            return

        async def look() -> None:
            try:
                ended, interrupted = await self._examine(prompt_of)
                for attempt in ended:
                    await on_ended(attempt)
                    self._open.pop(attempt.request_id, None)
                for examine, ending in interrupted:
                    on_interrupted(examine, ending)
                    self._open.pop(examine.route.request_id, None)
            except Exception as error:
                log.warning("attempts are examined again", error=repr(error)[:200])

        self._round = asyncio.create_task(look(), name="examine attempts")

    async def _examine(
        self, prompt_of: Callable[[RequestId], PromptSubmitted | None]
    ) -> tuple[list[AttemptEnded], list[tuple[Examine, Ending]]]:
        alive = await group_members(self._service.bus, RELAY_GROUP.name)
        ended = await self._ended()
        dead = [
            examine
            for request_id, examine in self._open.items()
            if request_id not in ended and not any(member.startswith(examine.started.relay_id) for member in alive)
        ]
        found = []
        for examine in dead:
            prompt = prompt_of(examine.route.request_id)
            kept = examine.route.reply_to.lasting is Lasting.KEPT
            if prompt is None and kept and now_ms() < examine.route.deadline_ms:
                # It comes: its record is in work, as the route's is.
                continue
            found.append((examine, await self._interrupted(examine, prompt.answer_key if prompt else None)))
        return list(ended.values()), found

    async def _ended(self) -> dict[RequestId, AttemptEnded]:
        since_ms = min(examine.started.started_at_ms for examine in self._open.values()) - 1
        ended: dict[RequestId, AttemptEnded] = {}
        async for found in self._service.recover(topics.ATTEMPTS, since_ms=since_ms):
            if isinstance(found, Received):
                attempt = found.record
                if isinstance(attempt, AttemptEnded) and attempt.request_id in self._open:
                    ended[attempt.request_id] = attempt
        return ended

    async def _interrupted(self, examine: Examine, key: bytes | None) -> Ending:
        """The books get what the dead relay had delivered: it is on the log."""
        request = examine.route
        log.warning(
            "attempt was interrupted",
            traceparent=examine.traceparent,
            request_id=request.request_id,
            relay_id=examine.started.relay_id,
        )
        ending = failed(INTERRUPTED)
        ending.outcome, ending.estimated_from = Outcome.INTERRUPTED, "text"
        delivered = await self._delivered(request, examine.started.started_at_ms, key)
        ending.tokens, ending.size = from_text(request, delivered.text_bytes), delivered.size
        if delivered.last:
            error = DIALECTS[request.surface].error_event(INTERRUPTED.message, INTERRUPTED.status, delivered.last)
            ending.tail = numbered(error, delivered.size).decode()
        return ending

    async def _delivered(self, request: AddressedRequest, since_ms: int, key: bytes | None) -> "_Delivered":
        found, events = _Delivered(), False
        partitions = [request.reply_to.partition]
        # Undecoded where they are of other requests: most are.
        topic = topics.replies_of(request.reply_to)
        async for raw in read_to_end(self._service.bus, topic, partitions=partitions, since_ms=since_ms - 1):
            if header(raw.headers, names.SUBJECT) != request.request_id:
                continue
            try:
                record = decode(raw).record
                if key and isinstance(record, ReplyChunk):
                    record = open_reply(record, key)
            except (PoisonError, SealError):
                continue
            if isinstance(record, ReplyStarted):
                events = record.content_type == EVENTS
            elif isinstance(record, ReplyChunk) and record.at == found.size:
                found.size = record.end
                if topic is topics.KEPT_REPLIES and key is None:
                    # Nobody can read it any more; the books are to have it.
                    found.size -= SEAL_BYTES
                    found.text_bytes = found.size
                elif events:
                    found.last = record.content.decode()
                    found.text_bytes += delivered_bytes(found.last)
        return found


@dataclass(slots=True)
class _Delivered:
    size: int = 0
    text_bytes: int = 0
    last: str = ""
    """The last events."""
