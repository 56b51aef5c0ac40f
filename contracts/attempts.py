"""``gateway.attempts.v1``: the relay's diary, which keeps a route from being run twice.

A relay that takes a partition over reads it: a start without an end was interrupted; an end holds the effects
(usage, where the answer is stored, and the reply's last record) to be published again. Starts and ends name their call,
and their order says which of them count: an end of an earlier call than the one that was started last does not.
"""

from .record import EpochMs, RequestRecord
from .replies import Call, ReplyEnded
from .responses import ResponseStored
from .usage import UsageRecorded


class AttemptStarted(RequestRecord):
    """Written, and acknowledged by the broker, before the provider is called."""

    provider_id: str
    relay_id: str
    started_at_ms: EpochMs
    call: Call = 0
    """Of two that name the same call the first counts."""

    @property
    def event_id(self) -> str:
        return _event_id(self, self.call)


class AttemptEnded(RequestRecord):
    """Written before usage and reply are, so that they can be published again."""

    usage: UsageRecorded
    reply: ReplyEnded
    stored: ResponseStored | None = None
    """Where the answer is stored, if its client wants that."""

    @property
    def call(self) -> int:
        """The call that it ends."""
        return self.reply.call

    @property
    def event_id(self) -> str:
        return _event_id(self, self.call)


def _event_id(record: RequestRecord, call: int) -> str:
    return f"{record.request_id}/{type(record).__name__}" + (f"/{call}" if call else "")


Attempt = AttemptStarted | AttemptEnded
