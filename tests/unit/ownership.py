"""Relays of a group that a test makes forget them, and the log that they share."""

from contracts.attempts import AttemptEnded, AttemptStarted
from libs.bus.tenure import Tenure
from services.relay.core.course import Course
from services.relay.core.job import Job
from services.relay.ownership import Ownership
from tests.unit.bus import SilentLog


class Owner(Ownership):
    """A relay that its group knows, until a test says that it was missed."""

    def __init__(self, relay_id: str, log: SilentLog) -> None:
        self.relay_id = relay_id
        self.missed = False
        self._log = log
        self._tenure = Tenure(60.0, lambda: None)

    @property
    def member_id(self) -> str:
        return f"{self.relay_id}-1"

    async def lasts(self, member_id: str) -> bool:
        return not self.missed and member_id == self.member_id

    async def runs_by_log(self, job: Job) -> bool:
        return self._course().runs(self.relay_id, job.call)

    async def counted(self, ended: AttemptEnded, member_id: str) -> AttemptEnded | None:
        return ended if await self.lasts(member_id) else self._course().ended

    def _course(self) -> Course:
        """There is one request on the log of a test."""
        course = Course()
        for record in self._log.taken:
            if isinstance(record, AttemptStarted | AttemptEnded):
                course.take(record)
        return course
