"""An end in good time: OpenTelemetry's exporters would try for half a minute where their collector is away."""

import threading
from collections.abc import Callable

WITHIN_S = 2.0


def shut_down_within(
    shut_down: Callable[[], object], give_up: Callable[[], object], within_s: float = WITHIN_S
) -> None:
    """Sends what is left.

    Args:
        shut_down: of the provider; it waits for its exporter.
        give_up: of that exporter; it ends an attempt that waits to be repeated.
    """
    timer = threading.Timer(within_s, give_up)
    timer.daemon = True
    timer.start()
    try:
        shut_down()
    finally:
        timer.cancel()
