"""Processes that let each other finish."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.child import Child

SERVICE = """
import os, threading
from libs.runtime.process import run_process

async def main(stop):
    seen = [os.sched_getscheduler(0)]
    thread = threading.Thread(target=lambda: seen.append(os.sched_getscheduler(threading.get_native_id())))
    thread.start()
    thread.join()
    print(seen)

run_process("tried", main)
"""

pytestmark = pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="Linux has it")


def test_a_service_takes_turns_with_all_its_threads() -> None:
    done = subprocess.run([sys.executable, "-c", SERVICE], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == str([os.SCHED_BATCH] * 2)


async def test_so_does_what_the_supervisor_starts(tmp_path: Path) -> None:
    child = Child("sleep", lambda: ["sleep", "60"], {"PATH": os.environ["PATH"]}, tmp_path / "log")
    await child.start()
    try:
        assert os.sched_getscheduler(child.pid) == os.SCHED_BATCH
    finally:
        await child.stop()
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
