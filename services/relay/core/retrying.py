"""Whether and when all targets are asked once more, after each has failed. Pure: randomness comes in.

Exponential backoff with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"), on top of what a
provider names in ``Retry-After`` (RFC 9110, section 10.2.3).
"""

from contracts.record import Refusal
from contracts.requests import CallableRequest
from libs.chat.providers.errors import RETRY_AFTER

FIRST_S = 0.25
MOST_S = 8.0
SPARE_S = 1.0
"""Left before the deadline, in which an answer may still begin."""
_NOT_RUN = (429, 503)
"""By these a provider says that it has not begun."""


def again_s(request: CallableRequest, refusal: Refusal, *, rounds: int, drawn: float, left_s: float) -> float | None:
    """Seconds to wait; None: it is not asked again.

    Args:
        rounds: how many have failed, 1 or more.
        drawn: from 0 to 1, at random.
        left_s: until the deadline.
    """
    if rounds > request.retries or not _may_be_repeated(refusal, always=request.retries_run):
        return None
    said_s = refusal.metadata.get(RETRY_AFTER)
    wait_s = (said_s if isinstance(said_s, int) else 0) + drawn * min(MOST_S, FIRST_S * 2.0 ** (rounds - 1))
    return wait_s if wait_s + SPARE_S <= left_s else None


def _may_be_repeated(refusal: Refusal, *, always: bool) -> bool:
    """A request that a provider may have run would be paid for twice: only where its client says so."""
    status = refusal.metadata.get("provider_status")
    if status in _NOT_RUN or (status is None and refusal.status == 503 and "provider" in refusal.metadata):
        return True
    return always and refusal.status >= 500 and status not in (401, 402, 403)
