"""What a process costs: its CPU time and its memory, looked up when metrics are read."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from libs.telemetry.instruments import CPU, MEMORY
from libs.telemetry.metrics import Labels

_STATM = Path("/proc/self/statm")


def observe_process() -> None:
    """From now on both are there. Memory only where ``/proc`` is."""
    CPU.observe("process", lambda: [(time.process_time(), ())])
    if _STATM.exists():
        MEMORY.observe("process", _resident)


def _resident() -> Iterator[tuple[float, Labels]]:
    yield int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"), ()
