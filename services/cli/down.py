"""``down``."""

import signal

import psutil

from services.cli.output import fail, report
from services.cli.running import running

DOWN_WITHIN_S = 60


def down() -> None:
    """Stop the Sluice that runs from this folder."""
    state = running()[1]
    process = psutil.Process(state.pid)
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(DOWN_WITHIN_S)
    except psutil.TimeoutExpired:
        fail(f"process {state.pid} did not stop within {DOWN_WITHIN_S} s")
    report("stopped")
