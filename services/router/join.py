"""The join of a request with its three decisions. Pure: records and times in, verdicts out."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from contracts.decisions import CredentialGranted, Decision, PolicyDecided, QuotaReserved
from contracts.record import Refusal
from contracts.requests import RequestAccepted

Place = TypeVar("Place")
"""Where the request's record stands on the log; the join only hands it back."""


@dataclass(frozen=True, slots=True)
class Allowed(Generic[Place]):
    """All three decisions are in and none refuses."""

    request: RequestAccepted
    policy: PolicyDecided
    quota: QuotaReserved
    credential: CredentialGranted
    place: Place
    traceparent: str


@dataclass(frozen=True, slots=True)
class Refused(Generic[Place]):
    """One decision refuses, or (``failed``) one did not come."""

    request: RequestAccepted
    refusal: Refusal
    failed: bool
    quota: QuotaReserved | None
    place: Place
    traceparent: str


@dataclass(slots=True)
class _Entry(Generic[Place]):
    seen_at_ms: int
    request: RequestAccepted | None = None
    place: Place | None = None
    traceparent: str = ""
    decisions: dict[type, Decision] = field(default_factory=dict)
    settled: bool = False


class Join(Generic[Place]):
    """Requests that wait for decisions, and decisions that came before their request.

    The first decision of each kind counts: after a crash a service may tell one again.
    """

    def __init__(self, keep_ms: int) -> None:
        """
        Args:
            keep_ms: how long a decision without a request, or a settled request, is remembered.
        """
        self._keep_ms = keep_ms
        self._entries: dict[str, _Entry[Place]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def waiting(self) -> int:
        """Requests without a verdict."""
        return sum(1 for entry in self._entries.values() if entry.request is not None and not entry.settled)

    def request(
        self, request: RequestAccepted, place: Place, traceparent: str, now_ms: int
    ) -> Allowed[Place] | Refused[Place] | None:
        """Takes a request in. The same request again changes nothing."""
        entry = self._entry(request.request_id, now_ms)
        if entry.request is not None:
            return None
        entry.request, entry.place, entry.traceparent = request, place, traceparent
        return self._verdict(entry)

    def decision(self, decision: Decision, now_ms: int) -> Allowed[Place] | Refused[Place] | None:
        """Takes a decision in, before or after its request."""
        entry = self._entry(decision.request_id, now_ms)
        entry.decisions.setdefault(type(decision), decision)
        return self._verdict(entry)

    def fail(self, request_id: str, refusal: Refusal) -> Refused[Place] | None:
        """A record about this request cannot be read: it will never be whole."""
        entry = self._entries.get(request_id)
        if entry is None or entry.request is None or entry.settled:
            return None
        return self._refuse(entry, entry.request, refusal, failed=True)

    def expire(self, now_ms: int) -> Iterator[Refused[Place]]:
        """Fails requests that nobody decided in time, and forgets what is old."""
        for request_id, entry in list(self._entries.items()):
            request = entry.request
            if request is not None and not entry.settled and now_ms >= request.route_by_ms:
                missing = ", ".join(sorted(_NAMES[kind] for kind in _KINDS if kind not in entry.decisions))
                message = f"No decision in time ({missing}); nothing was charged, try again."
                yield self._refuse(entry, request, Refusal(status=504, message=message, retry_after_s=1), failed=True)
            if now_ms - entry.seen_at_ms >= self._keep_ms and (entry.settled or entry.request is None):
                del self._entries[request_id]

    def _entry(self, request_id: str, now_ms: int) -> _Entry[Place]:
        entry = self._entries.get(request_id)
        if entry is None:
            entry = self._entries[request_id] = _Entry(now_ms)
        return entry

    def _verdict(self, entry: _Entry[Place]) -> Allowed[Place] | Refused[Place] | None:
        request = entry.request
        if entry.settled or request is None:
            return None
        for decision in entry.decisions.values():
            if decision.refusal is not None:
                return self._refuse(entry, request, decision.refusal, failed=False)
        if len(entry.decisions) < len(_KINDS):
            return None
        policy, quota, credential = (entry.decisions[kind] for kind in _KINDS)
        assert isinstance(policy, PolicyDecided)
        assert isinstance(quota, QuotaReserved)
        assert isinstance(credential, CredentialGranted)
        verdict = Allowed(request, policy, quota, credential, entry.place, entry.traceparent)
        self._settle(entry)
        return verdict  # type: ignore[return-value]

    def _refuse(
        self, entry: _Entry[Place], request: RequestAccepted, refusal: Refusal, *, failed: bool
    ) -> Refused[Place]:
        quota = entry.decisions.get(QuotaReserved)
        assert quota is None or isinstance(quota, QuotaReserved)
        verdict = Refused(request, refusal, failed, quota, entry.place, entry.traceparent)
        self._settle(entry)
        return verdict  # type: ignore[return-value]

    def _settle(self, entry: _Entry[Place]) -> None:
        entry.settled = True
        entry.place = None
        entry.decisions = {}


_KINDS = (PolicyDecided, QuotaReserved, CredentialGranted)
_NAMES = {PolicyDecided: "policy", QuotaReserved: "rate-limit", CredentialGranted: "key-vault"}
