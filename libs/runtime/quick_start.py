"""Imported by a service before all else: four tenths of the CPU of a start were for nothing.

What imports make is kept, so the garbage collector need not look at it until `run_process` begins; and structlog, which
writes JSON here, looks for rich to print for people.
"""

import gc
import sys

gc.disable()
sys.modules["rich"] = None  # type: ignore[assignment]
