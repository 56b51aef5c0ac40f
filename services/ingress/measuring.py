"""What is measured of a request at the door: rate, errors and duration, by surface and by model."""

import time

from contracts.requests import RequestAccepted, Surface
from libs.telemetry.instruments import HTTP_DURATION, REPLAYED, REQUEST_DURATION, REQUESTS

_ROUTES = {surface: f"/{surface.value.replace('.', '/')}" for surface in Surface}


def measure_refused(surface: Surface, status: int, began_s: float) -> None:
    """Of a request that was not let in. What model it named is its client's word, and no label.

    Args:
        began_s: of `time.perf_counter`.
    """
    HTTP_DURATION.record(time.perf_counter() - began_s, _ROUTES[surface], str(status))


def measure_again(surface: Surface, status: int, began_s: float) -> None:
    """Of a request that was given an earlier one's answer."""
    measure_refused(surface, status, began_s)
    REPLAYED.add(1, _ROUTES[surface], str(status))


def measure_admitted(request: RequestAccepted, status: int, began_s: float, trace: str) -> None:
    """Of a request that was let in, at its end."""
    seconds, route, code = time.perf_counter() - began_s, _ROUTES[request.surface], str(status)
    HTTP_DURATION.record(seconds, route, code, trace=trace)
    REQUEST_DURATION.record(seconds, route, request.model, trace=trace)
    REQUESTS.add(1, route, request.model, code)
