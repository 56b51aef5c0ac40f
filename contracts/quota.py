"""``quota.state.v1``: the compacted changelog from which rate-limit recovers."""

from .record import EpochMs, StateRecord, Subject, Value


class Admission(Value):
    """One admitted request: its time, and its offset in ``gateway.requests``."""

    at_ms: EpochMs
    offset: int


class QuotaStateSaved(StateRecord):
    """A subject's window after the request at ``applied_offset``.

    Redelivered requests up to that offset are answered from it, so that a crash neither counts a request twice
    nor changes its verdict.
    """

    subject: Subject
    applied_offset: int
    admissions: list[Admission]

    @property
    def state_key(self) -> str:
        return self.subject

    @property
    def event_id(self) -> str:
        return f"{self.subject}/{self.applied_offset}"
