"""``gateway.attempts.v1``: the relay's diary, which keeps a route from being run twice.

A relay that takes a partition over reads it: a start without an end was interrupted; an end holds the effects
(usage and the reply's last record) to be told again.
"""

from .record import EpochMs, RequestRecord
from .replies import ReplyEnded
from .usage import UsageRecorded


class AttemptStarted(RequestRecord):
    """Written, and acknowledged by the broker, before the provider is called."""

    provider_id: str
    relay_id: str
    started_at_ms: EpochMs


class AttemptEnded(RequestRecord):
    """Written before usage and reply are, so that they can be told again."""

    usage: UsageRecorded
    reply: ReplyEnded


Attempt = AttemptStarted | AttemptEnded
