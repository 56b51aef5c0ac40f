"""A profile of a running process: where its CPU time goes, by function. Nothing runs until somebody asks for one.

The first SIGUSR2 begins, the next ends and writes ``NAME-PID.collapsed`` into the folder that ``SLUICE_PROFILE`` names:
a stack a line, outermost first, and its microseconds of CPU (Brendan Gregg's collapsed stacks, which flame graph tools
read). It has names of files and functions and the number of the line that ran, and no value of any variable.

Profilers that look from outside see the time of day: on busy cores a process that waits for its turn looks as busy as
one that runs.
"""

import gc
import opcode
import os
import signal
import sysconfig
import threading
import time
from pathlib import Path
from types import CodeType, FrameType

import structlog

log = structlog.get_logger()

VARIABLE = "SLUICE_PROFILE"
SUFFIX = ".collapsed"
INTERVAL_S = 0.004
"""Of CPU, between two samples. Kernels that count 250 ticks a second sample no more often."""
MOST_STACKS = 10_000
"""Different ones; what comes afterwards is counted together."""
MOST_DEPTH = 100
"""Frames of a stack, the innermost."""
MOST_SAMPLES = 75_000
"""5 minutes of CPU. A profile that nobody ends does not go on."""
OTHERS = "(other stacks)"
LOOP = "(event loop)"
"""With the system calls that it makes."""
GENERATED = "(generated)"
ROOT = Path(__file__).resolve().parents[2]
_STDLIB = sysconfig.get_path("stdlib")
_RESUME = opcode.opmap["RESUME"]
_RUNNER = "Runner.run"

Stack = tuple[tuple[CodeType, ...], int]
"""Innermost first, and where that one is, in its bytecode."""


class Stacks:
    """CPU by stack, within bounds. Pure."""

    def __init__(self, most: int = MOST_STACKS) -> None:
        self._spent_ns: dict[Stack | None, int] = {}
        self._most = most

    def add(self, frame: FrameType | None, spent_ns: int) -> None:
        """Counts so much CPU for the stack that ends with this frame."""
        at = frame.f_lasti if frame else 0
        codes: list[CodeType] = []
        while frame is not None and len(codes) < MOST_DEPTH:
            codes.append(frame.f_code)
            frame = frame.f_back
        stack: Stack | None = (tuple(codes), at)
        if stack not in self._spent_ns and len(self._spent_ns) >= self._most:
            stack = None
        self._spent_ns[stack] = self._spent_ns.get(stack, 0) + spent_ns

    def collapsed(self) -> str:
        """A line for each stack: its frames, outermost first, and microseconds."""
        lines = (f"{_named(stack)} {spent_ns // 1000}\n" for stack, spent_ns in self._spent_ns.items())
        return "".join(sorted(lines))


def _named(stack: Stack | None) -> str:
    if stack is None:
        return OTHERS
    codes, at = stack
    names = [f"{relative(code.co_filename)}:{code.co_qualname}" for code in reversed(codes)]
    if codes and codes[0].co_qualname == _RUNNER:
        return ";".join([*names, LOOP])
    if _enters(codes, at):
        return ";".join([*names[:-1], LOOP])
    return ";".join([*names, f"line {_line(codes[0], at)}"])


def _enters(codes: tuple[CodeType, ...], at: int) -> bool:
    """The loop has just called it, or has resumed a task: the time was the loop's, whose C code sees no signals."""
    return len(codes) > 1 and codes[1].co_qualname == _RUNNER and codes[0].co_code[at] == _RESUME


def _line(code: CodeType, at: int) -> int:
    lines = [line for start, end, line in code.co_lines() if start <= at < end and line]
    return lines[0] if lines else code.co_firstlineno


def relative(filename: str) -> str:
    """A source file's name without the folders that are of this machine alone."""
    if filename.startswith("<"):
        return GENERATED
    _, package, rest = filename.rpartition("/site-packages/")
    if package:
        return rest
    for folder in (_STDLIB, str(ROOT)):
        if filename.startswith(f"{folder}/"):
            return filename.removeprefix(f"{folder}/")
    return Path(filename).name


class Sampler:
    """Of one process."""

    def __init__(self, name: str, folder: str | None) -> None:
        """
        Args:
            folder: for what is written; None: there are no profiles of this process.
        """
        self._name = name
        self._folder = folder
        self._stacks: Stacks | None = None
        self._samples = 0
        self._seen_ns = 0

    def toggle(self) -> None:
        """Begins, or ends. In the main thread."""
        if self._stacks is not None:
            self.end()
        elif self._folder:
            self._begin()
        else:
            log.warning("no profile", why=f"{VARIABLE} names no folder")

    def _begin(self) -> None:
        self._stacks, self._samples = Stacks(), 0
        signal.signal(signal.SIGPROF, self._sample)
        gc.callbacks.append(garbage_collection)
        self._seen_ns = time.process_time_ns()
        signal.setitimer(signal.ITIMER_PROF, INTERVAL_S, INTERVAL_S)
        log.info("profile begins")

    def end(self) -> None:
        """Writes, beside the loop; nothing where none runs."""
        stacks, self._stacks = self._stacks, None
        if stacks is None:
            return
        signal.setitimer(signal.ITIMER_PROF, 0)
        gc.callbacks.remove(garbage_collection)
        threading.Thread(target=self._write, args=(stacks,), name="profile").start()

    def _sample(self, _signal: int, frame: FrameType | None) -> None:
        if self._stacks is None:
            return
        # A signal waits while C code runs, and further ones with it are lost; CPU time is not.
        now_ns = time.process_time_ns()
        self._stacks.add(frame, now_ns - self._seen_ns)
        self._seen_ns = now_ns
        self._samples += 1
        if self._samples == MOST_SAMPLES:
            signal.setitimer(signal.ITIMER_PROF, 0)

    def _write(self, stacks: Stacks) -> None:
        target = Path(self._folder or "") / f"{self._name}-{os.getpid()}{SUFFIX}"
        written = target.with_suffix(".part")
        try:
            written.write_text(stacks.collapsed())
            written.replace(target)
        except OSError as error:
            log.warning("profile not written", file=str(target), error=type(error).__name__)
        else:
            log.info("profile written", file=str(target))


def garbage_collection(_phase: str, _information: dict[str, int]) -> None:
    """Called at the end of each round, where the signals that came meanwhile are handled: so its time has a name."""
