"""The heap in huge pages, once start-up has made it.

A service's heap is some 15,000 pages of 4 KiB, and a dozen processes share the cores: in each turn the CPU has to find
them anew. Half of it fits into 15 of 2 MiB (ADR 62).
"""

import ctypes
import mmap
import sys
from collections.abc import Iterator
from pathlib import Path

KERNEL = Path("/sys/kernel/mm/transparent_hugepage")
MADV_COLLAPSE = 25
"""Now, not when the kernel gets round to it; Linux 6.1 (``madvise(2)``). `mmap` does not name it yet."""


def use_huge_pages() -> None:
    """Moves what is on this process's heap into huge pages, where whole ones fit: tens of milliseconds, once.

    Nothing is done where the kernel is told that nobody is to have them (``never``), nor outside of Linux. Before
    Linux 6.1 the kernel does it by and by.
    """
    page_bytes = _page_bytes()
    if sys.platform != "linux" or not page_bytes:
        return
    advise = ctypes.CDLL(None).madvise
    for start, end in whole_pages(Path("/proc/self/maps").read_text(), page_bytes):
        where = (ctypes.c_void_p(start), ctypes.c_size_t(end - start))
        # The kernel may refuse; then things stay as they are.
        advise(*where, mmap.MADV_HUGEPAGE)
        advise(*where, MADV_COLLAPSE)


def whole_pages(maps: str, page_bytes: int) -> Iterator[tuple[int, int]]:
    """Where a process has memory of its own in which whole huge pages fit.

    Args:
        maps: ``/proc/PID/maps`` (``proc_pid_maps(5)``).
        page_bytes: of a huge page.

    Yields:
        First address and the one behind the last, of huge pages.
    """
    for line in maps.splitlines():
        addresses, access, _offset, _device, inode, *name = line.split(maxsplit=5)
        if access != "rw-p" or inode != "0" or name == ["[stack]"]:
            continue
        start, end = (int(address, 16) for address in addresses.split("-"))
        first, last = -(-start // page_bytes) * page_bytes, end // page_bytes * page_bytes
        if first < last:
            yield first, last


def _page_bytes() -> int | None:
    """Of this kernel's huge pages; None where it gives none."""
    try:
        if "[never]" in (KERNEL / "enabled").read_text():
            return None
        return int((KERNEL / "hpage_pmd_size").read_text())
    except OSError:
        return None
