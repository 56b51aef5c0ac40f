"""Imported by a service before all else: four tenths of the CPU of a start were for nothing, and 1 MiB.

What imports make is kept, so the garbage collector need not look at it until `run_process` begins; and structlog, which
writes JSON here, looks for rich to print for people, and for greenlets, of which there are none.
"""

import gc
import sys

gc.disable()
sys.modules |= {"rich": None, "greenlet": None}  # type: ignore[dict-item]
