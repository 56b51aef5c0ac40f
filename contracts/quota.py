"""``quota.state.v1``: the compacted changelog from which rate-limit recovers."""

from contracts.record import EpochMs, Record, Subject


class Admission(Record):
    """One admitted request: its time, and its offset in ``gateway.requests``."""

    at_ms: EpochMs
    offset: int


class QuotaStateSaved(Record):
    """A subject's window after the request at ``applied_offset``.

    Redelivered requests up to that offset are answered from it, so that a crash neither counts a request twice
    nor changes its verdict.
    """

    subject: Subject
    applied_offset: int
    admissions: list[Admission]
