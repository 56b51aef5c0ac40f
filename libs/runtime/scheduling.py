"""Processes that let each other finish."""

import contextlib
import os


def take_turns() -> None:
    """From now on this process interrupts no other one of its machine when it wakes (Linux's ``SCHED_BATCH``), nor do
    the threads and processes that it starts; on a core that is free it runs at once, as ever.

    A request passes through seven services. Where each record that one publishes wakes the next one in its place, all
    of them run for a moment, for one record, with cold caches. ADR 59 has the measurement.
    """
    if hasattr(os, "sched_setscheduler"):
        # A sandbox may forbid it.
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
