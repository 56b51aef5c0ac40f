"""Times that a request may name: whoever writes requests cannot put one into an hour that has passed. Pure."""

from contracts.record import Refusal
from contracts.requests import RequestAccepted
from libs.config.gateway import Timeouts

CLOCKS_MS = 5_000
"""Clocks of two machines differ by less."""
OUT_OF_TIME = Refusal(
    status=503,
    message="The request reached the gateway's limits too late, or its times are wrong; try again.",
    retry_after_s=1,
)
SHOWN_FOR_MS = 60_000


class OutOfTimeCount:
    """Requests that were refused for their times, as an operator sees them."""

    def __init__(self) -> None:
        self._refused = 0
        self._newest_ms = -SHOWN_FOR_MS
        self._off_ms = 0

    def add(self, request: RequestAccepted, now_ms: int) -> bool:
        """One more. True where it is the first of a while, which a log should name."""
        first = now_ms - self._newest_ms >= SHOWN_FOR_MS
        self._refused = 1 if first else self._refused + 1
        self._newest_ms, self._off_ms = now_ms, request.accepted_at_ms - now_ms
        return first

    def problem(self, now_ms: int) -> str | None:
        """What is to be looked at; None where there was none lately."""
        if now_ms - self._newest_ms >= SHOWN_FOR_MS:
            return None
        return (
            f"{self._refused} requests were refused for their times, the last {self._off_ms / 1000:+.0f} s from this "
            "service's: clocks differ, or requests have waited for it"
        )


def in_time(request: RequestAccepted, timeouts: Timeouts, now_ms: int) -> bool:
    """Whether its times are those of a request that is decided now.

    One that is older than the time in which it must have a route has been failed by the router, whatever is decided
    here: so refusing it costs nobody anything.
    """
    route_ms, whole_ms = timeouts.route_s * 1000 + CLOCKS_MS, timeouts.request_s * 1000 + CLOCKS_MS
    return (
        now_ms - route_ms <= request.accepted_at_ms <= now_ms + CLOCKS_MS
        and request.route_by_ms <= request.accepted_at_ms + route_ms
        and request.deadline_ms <= request.accepted_at_ms + whole_ms
    )
