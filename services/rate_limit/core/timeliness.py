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
