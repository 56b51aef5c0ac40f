"""Verdicts that were given, for as long as their requests may come again. Pure."""

from collections.abc import Sized

from contracts.decisions import QuotaReserved
from libs.bus.recent import RecentIds


class GivenVerdicts(Sized):
    """Each as the log has it: a busy service remembers a minute of them, and as objects they take four times that."""

    __slots__ = ("_encoded", "_recent")

    def __init__(self) -> None:
        self._recent = RecentIds()
        self._encoded: dict[str, bytes] = {}

    def __len__(self) -> int:
        return len(self._encoded)

    def add(self, verdict: QuotaReserved, at_ms: int) -> None:
        """Keeps a verdict, in the place of one on the same request.

        Args:
            at_ms: of a clock that never goes back.
        """
        self._recent.add(verdict.request_id, at_ms)
        self._encoded[verdict.request_id] = verdict.encode()

    def find(self, request_id: str) -> QuotaReserved | None:
        """The verdict on a request."""
        encoded = self._encoded.get(request_id)
        return QuotaReserved.decode(encoded, request_id) if encoded else None

    def forget(self, until_ms: int) -> None:
        """Forgets verdicts of this time or earlier."""
        for request_id in self._recent.forget(until_ms):
            del self._encoded[request_id]
