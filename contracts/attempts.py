"""``gateway.attempts.v1``: the relay's diary, which keeps a route from being run twice.

A relay that takes a partition over reads it: a start without an end was interrupted; an end holds the effects
(usage and the reply's last record) to be told again.
"""

from contracts.record import EpochMs, Record, ReplyAddress, RequestId
from contracts.replies import ReplyEnded
from contracts.usage import UsageRecorded


class AttemptStarted(Record):
    """Written, and acknowledged by the broker, before the provider is called."""

    request_id: RequestId
    provider_id: str
    relay_id: str
    started_at_ms: EpochMs


class AttemptEnded(Record):
    """Written before usage and reply are, so that they can be told again."""

    request_id: RequestId
    reply_to: ReplyAddress
    usage: UsageRecorded
    reply: ReplyEnded


Attempt = AttemptStarted | AttemptEnded
