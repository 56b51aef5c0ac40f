"""Whether a stream is still its relay's: one that stood still was taken for dead, and another has gone on with it."""

import asyncio

import structlog
from aiokafka.errors import KafkaError

from contracts.record import Lasting
from libs.bus.settings import BusSettings
from libs.bus.tenure import Tenure
from services.relay.core.delivered import Delivered
from services.relay.core.job import Job
from services.relay.reading import Wanted, read_delivered

log = structlog.get_logger()

RETRY_S = 0.5


class Ownership:
    """Asks the group first, which costs next to nothing, and the log only where the group does not know."""

    def __init__(self, bus: BusSettings, tenure: Tenure) -> None:
        self._bus = bus
        self._tenure = tenure
        self._reading = asyncio.Lock()

    @property
    def member_id(self) -> str:
        """As which an attempt is begun."""
        return self._tenure.member_id

    async def lost(self, job: Job, member_id: str) -> bool:
        """Another call is in the place of the one that was begun as this member (ADR 41)."""
        if await self._tenure.lasts(member_id):
            return False
        call = job.goes_on.call if job.goes_on else 0
        while True:
            try:
                # One after the other: who wakes with a thousand streams does not read the log a thousand times at once.
                async with self._reading:
                    return await self._call_of(job) > call
            except KafkaError as error:
                log.warning("looked for another call again", error=type(error).__name__)
                await asyncio.sleep(RETRY_S)

    async def _call_of(self, job: Job) -> int:
        route, key = job.route, job.prompt.answer_key
        found = Delivered(sealed=route.reply_to.lasting is Lasting.KEPT and key is None)
        wanted = Wanted(route, found, key, route.accepted_at_ms)
        await read_delivered(self._bus, {route.request_id: wanted})
        return found.call
