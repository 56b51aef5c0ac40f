"""The join of a request with its three decisions. Pure: records and times in, verdicts out."""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from contracts.decisions import CredentialGranted, Decision, PolicyDecided, QuotaReserved
from contracts.record import Lasting, Refusal
from contracts.requests import RequestAccepted
from libs.bus.recent import RecentIds

LATE = Refusal(status=504, message="The decisions came too late; nothing was charged, try again.", retry_after_s=1)

Source = TypeVar("Source")
"""The record of the log that the request came in; the join only hands it back."""


@dataclass(frozen=True, slots=True)
class Allowed(Generic[Source]):
    """All three decisions are in and none refuses."""

    request: RequestAccepted
    policy: PolicyDecided
    quota: QuotaReserved
    credential: CredentialGranted
    source: Source
    traceparent: str


@dataclass(frozen=True, slots=True)
class Refused(Generic[Source]):
    """One decision refuses, or (``failed``) one did not come."""

    request: RequestAccepted
    refusal: Refusal
    failed: bool
    quota: QuotaReserved | None
    source: Source
    traceparent: str


def failed(allowed: Allowed[Source], refusal: Refusal) -> Refused[Source]:
    """A request that all three allow, and Sluice cannot route."""
    return Refused(allowed.request, refusal, True, allowed.quota, allowed.source, allowed.traceparent)


@dataclass(frozen=True, slots=True)
class _Asked(Generic[Source]):
    request: RequestAccepted
    source: Source
    traceparent: str


@dataclass(slots=True)
class _Entry(Generic[Source]):
    seen_at_ms: int
    asked: _Asked[Source] | None = None
    decisions: dict[type, Decision] = field(default_factory=dict)


class Join(Generic[Source]):
    """Requests that wait for decisions, and decisions that came before their request.

    The first decision of each kind counts: after a crash a service may publish one again.
    """

    def __init__(self, keep_ms: int) -> None:
        """
        Args:
            keep_ms: how long a decision without a request, or a settled request, is remembered.
        """
        self._keep_ms = keep_ms
        self._entries: dict[str, _Entry[Source]] = {}
        self._settled = RecentIds()

    def __len__(self) -> int:
        return len(self._entries) + len(self._settled)

    def waiting(self) -> int:
        """Requests without a verdict."""
        return sum(1 for entry in self._entries.values() if entry.asked is not None)

    def holds(self, request_id: str, source: Source) -> bool:
        """True while a request waits that came in this record; published again, it waits in the first one."""
        entry = self._entries.get(request_id)
        return entry is not None and entry.asked is not None and entry.asked.source is source

    def request(
        self, request: RequestAccepted, source: Source, traceparent: str, now_ms: int
    ) -> Allowed[Source] | Refused[Source] | None:
        """Takes a request in. The same request again changes nothing."""
        if request.request_id in self._settled:
            return None
        entry = self._entry(request.request_id, now_ms)
        if entry.asked is not None:
            return None
        entry.asked = _Asked(request, source, traceparent)
        return self._verdict(entry, now_ms)

    def decision(self, decision: Decision, now_ms: int) -> Allowed[Source] | Refused[Source] | None:
        """Takes a decision in, before or after its request."""
        if decision.request_id in self._settled:
            return None
        entry = self._entry(decision.request_id, now_ms)
        entry.decisions.setdefault(type(decision), decision)
        return self._verdict(entry, now_ms)

    def fail(self, request_id: str, refusal: Refusal, now_ms: int) -> Refused[Source] | None:
        """A record about this request cannot be read: it will never be whole."""
        entry = self._entries.get(request_id)
        if entry is None or entry.asked is None:
            return None
        return self._refuse(entry, entry.asked, refusal, now_ms, failed=True)

    def expire(self, now_ms: int) -> list[Refused[Source]]:
        """Fails requests that nobody decided in time, and forgets what is old."""
        overdue = []
        for request_id, entry in list(self._entries.items()):
            if entry.asked is None:
                if now_ms - entry.seen_at_ms >= self._keep_ms:
                    del self._entries[request_id]
            elif now_ms >= entry.asked.request.route_by_ms:
                missing = ", ".join(sorted(_NAMES[kind] for kind in _KINDS if kind not in entry.decisions))
                message = f"No decision in time ({missing}); nothing was charged, try again."
                refusal = Refusal(status=504, message=message, retry_after_s=1)
                overdue.append(self._refuse(entry, entry.asked, refusal, now_ms, failed=True))
        self._settled.forget(now_ms - self._keep_ms)
        return overdue

    def _entry(self, request_id: str, now_ms: int) -> _Entry[Source]:
        entry = self._entries.get(request_id)
        if entry is None:
            entry = self._entries[request_id] = _Entry(now_ms)
        return entry

    def _verdict(self, entry: _Entry[Source], now_ms: int) -> Allowed[Source] | Refused[Source] | None:
        asked = entry.asked
        if asked is None:
            return None
        for decision in entry.decisions.values():
            if decision.refusal is not None:
                return self._refuse(entry, asked, decision.refusal, now_ms, failed=False)
        if len(entry.decisions) < len(_KINDS):
            return None
        policy, quota, credential = (entry.decisions[kind] for kind in _KINDS)
        assert isinstance(policy, PolicyDecided)
        assert isinstance(quota, QuotaReserved)
        assert isinstance(credential, CredentialGranted)
        if asked.request.reply_to.lasting is Lasting.KEPT and now_ms >= asked.request.route_by_ms:
            # Its Idempotency-Key may stand for another request by now.
            return self._refuse(entry, asked, LATE, now_ms, failed=True)
        self._settle(asked.request.request_id, now_ms)
        return Allowed(asked.request, policy, quota, credential, asked.source, asked.traceparent)

    def _refuse(
        self, entry: _Entry[Source], asked: _Asked[Source], refusal: Refusal, now_ms: int, *, failed: bool
    ) -> Refused[Source]:
        quota = entry.decisions.get(QuotaReserved)
        assert quota is None or isinstance(quota, QuotaReserved)
        self._settle(asked.request.request_id, now_ms)
        return Refused(asked.request, refusal, failed, quota, asked.source, asked.traceparent)

    def _settle(self, request_id: str, now_ms: int) -> None:
        del self._entries[request_id]
        self._settled.add(request_id, now_ms)


_KINDS = (PolicyDecided, QuotaReserved, CredentialGranted)
_NAMES = {PolicyDecided: "policy", QuotaReserved: "rate-limit", CredentialGranted: "key-vault"}
