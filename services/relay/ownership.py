"""Whether a request is still its relay's: one that stood still was taken for dead, and another may have ended it, or
gone on with it."""

import asyncio

import structlog
from aiokafka.errors import KafkaError

from contracts.attempts import AttemptEnded
from libs.bus.settings import BusSettings
from libs.bus.tenure import Tenure
from services.relay.core.job import Job
from services.relay.courses import RETRY_S, Courses

log = structlog.get_logger()


class LeftError(Exception):
    """The request is another relay's."""


class Ownership:
    """Asks the group first, which costs next to nothing, and the log only where the group does not know."""

    def __init__(self, relay_id: str, bus: BusSettings, tenure: Tenure) -> None:
        self.relay_id = relay_id
        self._tenure = tenure
        self._courses = Courses(bus)

    @property
    def member_id(self) -> str:
        """As which an attempt is begun: nobody finds it dead while the group knows that."""
        return self._tenure.member_id

    async def lasts(self, member_id: str) -> bool:
        """See `Tenure.lasts`. Waits while that cannot be known."""
        while True:
            try:
                return await self._tenure.lasts(member_id)
            except KafkaError as error:
                log.warning("asked the group again", error=type(error).__name__)
                await asyncio.sleep(RETRY_S)

    async def runs(self, job: Job, member_id: str) -> bool:
        """The call that was begun as this member is the request's, and nobody has ended it.

        Args:
            member_id: empty where another relay was found dead: then the log decides.
        """
        return await self.lasts(member_id) or await self.runs_by_log(job)

    async def runs_by_log(self, job: Job) -> bool:
        """The same, by the log alone."""
        return (await self._courses.of(job.route)).runs(self.relay_id, job.call)

    async def counted(self, ended: AttemptEnded, member_id: str) -> AttemptEnded | None:
        """The end of the request that counts, once this one is on the log; None: another call goes on with it.

        Args:
            member_id: see `runs`.
        """
        if await self.lasts(member_id):
            return ended
        return (await self._courses.of(ended.usage)).ended
