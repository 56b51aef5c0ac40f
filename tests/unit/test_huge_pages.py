"""The heap of a service in huge pages."""

import platform
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.runtime.huge_pages import KERNEL, _page_bytes, whole_pages

SMALL, HUGE = 4096, 2 * 1024 * 1024
HEAP = """
from pathlib import Path
from libs.runtime.huge_pages import use_huge_pages

def huge():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("AnonHugePages"))

kept = [bytes(1000) for _ in range(20_000)]
before = huge()
use_huge_pages()
print(before, huge(), all(one == bytes(1000) for one in kept))
"""
SIZES = st.tuples(st.integers(0, 1200), st.integers(1, 1200), st.booleans())
"""Of a gap and the mapping behind it, in small pages; and whether it is the process's own memory."""


@given(st.integers(0, 600), st.lists(SIZES, max_size=8))
def test_all_huge_pages_that_fit_into_own_memory_are_found(begin: int, sizes: list[tuple[int, int, bool]]) -> None:
    at, lines, own = begin, ["7ffd25c4d000-7ffe25c4d000 rw-p 00000000 00:00 0    [stack]"], set[int]()
    for gap, size, is_own in sizes:
        first, at = at + gap, at + gap + size
        kind = "rw-p 00000000 00:00 0" if is_own else "r-xp 0001e000 fe:00 18710      /lib/with a space.so"
        lines.append(f"{first * SMALL:x}-{at * SMALL:x} {kind}")
        pages = range(first, at) if is_own else ()
        each = HUGE // SMALL
        own |= {page // each for page in pages if page % each == 0 and page + each <= at}
    found = [
        page
        for start, end in whole_pages("\n".join(lines), HUGE)
        for page in range(start // HUGE, end // HUGE)
        if start % HUGE == end % HUGE == 0
    ]
    assert sorted(found) == sorted(own)


def _gives_them_at_once() -> bool:
    release = [int(number) for number in platform.release().split("-")[0].split(".")[:2]]
    return release >= [6, 1] and _page_bytes() is not None


@pytest.mark.skipif(not _gives_them_at_once(), reason="this kernel gives no huge pages at once")
def test_a_heap_is_in_huge_pages_and_what_it_was() -> None:
    done = subprocess.run([sys.executable, "-c", HEAP], capture_output=True, text=True, check=True)
    before, after, is_whole = done.stdout.split()
    assert is_whole == "True"
    # A heap of 20 MB has room for more; how much more is what lies between its parts.
    assert int(after) >= 4 * HUGE // 1024
    assert int(after) > int(before) or "[always]" in (KERNEL / "enabled").read_text()
