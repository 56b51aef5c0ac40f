"""Publishes how attempts begin and end, and what follows from an end: the relay's diary, ``gateway.attempts``."""

import structlog
from aiokafka.errors import MessageSizeTooLargeError

from contracts import topics
from contracts.attempts import AttemptEnded, AttemptStarted
from contracts.clock import now_ms
from contracts.record import Refusal
from contracts.routes import Route, RoutePlanned
from libs.bus.producer import Producer
from libs.sealing.replies import seal_ended
from services.relay.core.ending import Ending, attempt_ended, undeliverable
from services.relay.core.job import Job
from services.relay.ownership import LeftError, Ownership

log = structlog.get_logger()

TOO_LARGE = Refusal(status=502, message="The provider's answer is larger than this gateway can deliver.")
TOO_LATE = Refusal(
    status=503,
    message="The relay of this request stood still before it called a provider; nothing was charged, try again.",
    retry_after_s=1,
)


class Diary:
    """Of two relays that write about one request, who is right is said by the order of their records (ADR 41)."""

    def __init__(self, producer: Producer, ownership: Ownership) -> None:
        self._producer = producer
        self._ownership = ownership

    async def begin(self, route: RoutePlanned, member_id: str, trace: str) -> None:
        """Returns when the log knows that this relay calls a provider now; or knows of nothing, where the route is
        another relay's by now."""
        if await self._ownership.lasts(member_id):
            started = AttemptStarted(
                request_id=route.request_id,
                provider_id=route.targets[0].provider_id,
                relay_id=self._ownership.relay_id,
                started_at_ms=now_ms(),
            )
            await self._producer.publish_until_acknowledged(topics.ATTEMPTS, started, trace)

    async def why_not_called(self, job: Job, member_id: str) -> Refusal | None:
        """Why no provider is called, although it has begun; None: one is.

        A relay that is missed calls nobody: whoever has its partition may not have seen that it began, and calls, too.

        Raises:
            LeftError: the request is another relay's.
        """
        if await self._ownership.lasts(member_id):
            return None
        if not await self._ownership.runs_by_log(job):
            raise LeftError
        return None if job.goes_on else TOO_LATE

    async def end(self, route: Route, ending: Ending, member_id: str, trace: str, key: bytes | None = None) -> None:
        """Returns when the end, and what follows from it, is on the log: this one's, or that of who was faster.

        Args:
            key: with which the answer is sealed.

        Raises:
            LeftError: another relay goes on with it.
        """
        ended = attempt_ended(route, ending, now_ms())
        if key:
            ended = ended.model_copy(update={"reply": seal_ended(ended.reply, key)})
        try:
            await self._producer.publish_until_acknowledged(topics.ATTEMPTS, ended, trace)
        except MessageSizeTooLargeError:
            log.error("answer is too large for the log", traceparent=trace, request_id=ended.request_id)
            ended = attempt_ended(route, undeliverable(ending, TOO_LARGE), now_ms())
            await self._producer.publish_until_acknowledged(topics.ATTEMPTS, ended, trace)
        counted = await self._ownership.counted(ended, member_id)
        if counted is None:
            raise LeftError
        await self.publish_effects(counted, trace)

    async def publish_effects(self, ended: AttemptEnded, trace: str) -> None:
        """Publishes what follows from an end that counts."""
        if ended.stored:
            # Before the end of the answer: whoever has seen it may ask for it.
            await self._producer.publish_until_acknowledged(topics.RESPONSE_INDEX, ended.stored, trace)
        reply = (topics.replies_of(ended.reply.reply_to), ended.reply)
        await self._producer.publish_all_until_acknowledged([(topics.USAGE, ended.usage), reply], trace)
