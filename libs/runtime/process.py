"""A process from its start to SIGTERM: logs, traces, settings that are wrong, memory that must not leak."""

import asyncio
import gc
import logging
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from pydantic import ValidationError

from libs.runtime.sampling import VARIABLE, Sampler
from libs.runtime.scheduling import take_turns
from libs.runtime.secret_files import SecretFileError, read_secret_files
from libs.runtime.supervised import announce_draining
from libs.telemetry.logs import configure_logs
from libs.telemetry.process import observe_process
from libs.telemetry.tracing import configure_tracing, shutdown_tracing

log = structlog.get_logger()


class Stop:
    """What a process is asked for by SIGTERM or SIGINT: to drain, and the second time to be quick about it."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.hurried = asyncio.Event()

    def ask(self) -> None:
        """On each signal."""
        if self.asked.is_set():
            self.hurried.set()
        else:
            self.asked.set()
            announce_draining()


Main = Callable[[Stop], Awaitable[None]]
"""Returns when everything has ended."""


class SettingsError(ValueError):
    """Settings that a process cannot run with; the message names the variable, and quotes no value."""


def run_process(name: str, main: Main) -> None:
    """Runs ``main`` until it returns. Exits with 2 where settings are not usable.

    Environment: ``SLUICE_LOG_LEVEL``, and ``SLUICE_PROFILE``; see `libs.runtime.sampling`.
    """
    gc.enable()
    take_turns()
    # No core dump: memory holds prompts, in the vault and the relays provider keys. 0 does not keep the kernel from
    # handing one to a program (`core_pattern` with a pipe, as systemd has it); 1 does (Linux, fs/coredump.c).
    resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
    configure_logs(name, os.environ.get("SLUICE_LOG_LEVEL", "INFO"))
    configure_tracing(name)
    observe_process()
    sampler = Sampler(name, os.environ.get(VARIABLE))
    try:
        read_secret_files(os.environ)
        _runner()(_with_signals(main, sampler))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
        log.error("settings are not usable", problems=problems)
        sys.exit(2)
    except (SettingsError, SecretFileError) as error:
        log.error("settings are not usable", problems=str(error))
        sys.exit(2)
    finally:
        sampler.end()
        shutdown_tracing()
        logging.shutdown()


def collect_garbage_seldom() -> None:
    """Spares the garbage collector what start-up has made, and most of its rounds.

    Almost nothing here is cyclic, so a round finds nothing, and every 700 new objects began one. With 64 clients that
    was a tenth of all CPU, and a fifth of the time of the slowest answers (the 95th percentile).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def _runner() -> Any:
    try:
        import uvloop
    except ImportError:
        return asyncio.run
    return uvloop.run


async def _with_signals(main: Main, sampler: Sampler) -> None:
    stop, loop = Stop(), asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop.ask)
    loop.add_signal_handler(signal.SIGUSR2, sampler.toggle)
    await main(stop)
