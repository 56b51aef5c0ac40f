"""Profiles of a running process: what is written, and what is not."""

import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

from libs.runtime import sampling
from libs.runtime.sampling import GENERATED, LOOP, OTHERS, ROOT, SUFFIX, VARIABLE, Stacks, relative

SECRET = "sk-not-for-profiles"
BUSY = f"""
import asyncio, os, signal, sys, time
from libs.runtime.process import run_process

def busy(secret: str) -> None:
    end_s = time.process_time() + 0.2
    while time.process_time() < end_s:
        len(secret)

async def main(stop: object) -> None:
    for number in range(int(sys.argv[1])):
        os.kill(os.getpid(), signal.SIGUSR2)
        while "{VARIABLE}" in os.environ and bool(signal.getitimer(signal.ITIMER_PROF)[0]) == number % 2:
            await asyncio.sleep(0)
        busy("{SECRET}")
    await asyncio.sleep(0.01)

run_process("busy", main)
"""


def frame() -> FrameType:
    return sys._getframe()


def deep(frames: int) -> FrameType:
    return deep(frames - 1) if frames else sys._getframe()


def test_cpu_is_counted_by_stack() -> None:
    stacks = Stacks()
    for _ in range(2):
        stacks.add(frame(), 4_000_500)
    (line,) = stacks.collapsed().splitlines()
    *_, outer, inner, number = line.rsplit(" ", 1)[0].split(";")
    assert outer == "tests/unit/test_sampling.py:test_cpu_is_counted_by_stack"
    assert inner == "tests/unit/test_sampling.py:frame"
    assert number == f"line {frame.__code__.co_firstlineno + 1}"
    assert line.endswith(" 8001")


def test_there_are_so_many_stacks_and_frames_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MOST_DEPTH", 5)
    stacks = Stacks(most=2)
    for frames in (20, 0, 1, 2, 20):
        stacks.add(deep(frames), 1_000_000)
    lines = stacks.collapsed().splitlines()
    assert f"{OTHERS} 2000" in lines
    deepest = next(line for line in lines if line.endswith(" 2000") and not line.startswith(OTHERS))
    assert deepest.count(":deep;") == 5
    assert len(lines) == 3


class Runner:
    """Named like asyncio's."""

    def run(self, work: Callable[[], object]) -> None:
        work()


def test_time_before_a_call_of_the_loop_s_is_the_loop_s() -> None:
    stacks = Stacks()

    def on_call(called: FrameType, _event: str, _argument: object) -> None:
        # As a signal finds it that came before.
        if called.f_code is not Runner.run.__code__:
            stacks.add(called, 1_000)

    before = sys.gettrace()
    sys.settrace(on_call)
    Runner().run(lambda: frame())
    sys.settrace(before)
    entered, inside = sorted(stacks.collapsed().splitlines(), key=len)
    assert entered.endswith(f":Runner.run;{LOOP} 1")
    assert ":Runner.run;" in inside and ":frame;line " in inside


@pytest.mark.parametrize(
    ("filename", "shown"),
    [
        (f"{ROOT}/services/relay/app.py", "services/relay/app.py"),
        (f"{ROOT}/.venv/lib/python3.11/site-packages/aiokafka/client.py", "aiokafka/client.py"),
        (f"{sysconfig.get_path('stdlib')}/asyncio/runners.py", "asyncio/runners.py"),
        ("<string>", GENERATED),
        ("/somewhere/else/secret/plugin.py", "plugin.py"),
    ],
)
def test_files_are_named_without_the_folders_of_a_machine(filename: str, shown: str) -> None:
    assert relative(filename) == shown


def run(signals: int, **environment: str) -> str:
    """Its log."""
    done = subprocess.run(
        [sys.executable, "-c", BUSY, f"{signals}"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stderr


@pytest.mark.parametrize("signals", [1, 2])
def test_a_profile_has_the_function_that_ran_and_none_of_its_values(tmp_path: Path, signals: int) -> None:
    said = run(signals, **{VARIABLE: str(tmp_path)})
    assert said.count("profile written") == 1
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("busy-") and file.suffix == SUFFIX
    text = file.read_text()
    spent_us = sum(int(line.rsplit(" ", 1)[1]) for line in text.splitlines() if ":busy;" in line)
    assert 100_000 < spent_us < 400_000
    assert SECRET not in text + said and str(ROOT) not in text


def test_without_a_folder_the_signal_does_nothing() -> None:
    assert run(2).count("names no folder") == 2
