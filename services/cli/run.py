"""``up``."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from deploy.local.errors import StackError
from deploy.local.home import ROOT, Home, default_homes
from deploy.local.options import StackOptions
from deploy.local.stack import Stack
from services.cli.output import fail, out, report

DETACHED_WITHIN_S = 180
RESTART = signal.SIGUSR1
"""Asks for a rolling restart."""

Config = Annotated[Path | None, typer.Option(help="YAML file of providers, models and limits.")]
Kafka = Annotated[str, typer.Option(help="embedded, apache, or HOST:PORT of your own broker.")]
Port = Annotated[int, typer.Option(help="Where clients connect, on loopback.")]


def up(
    config: Config = None,
    kafka: Kafka = "embedded",
    port: Port = 8080,
    detach: Annotated[bool, typer.Option("--detach", help="Return when everything is ready.")] = False,
) -> None:
    """Start Sluice and keep it running."""
    home, _ = default_homes()
    if detach:
        _detach(home, config, kafka, port)
    else:
        asyncio.run(_serve(home, StackOptions(config=config, kafka=kafka, port=port)))


async def until_stopped() -> None:
    """Returns at SIGINT or SIGTERM."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


async def _serve(home: Home, options: StackOptions) -> None:
    stopping = asyncio.create_task(until_stopped())
    stack = Stack(home, options, report)
    starting = asyncio.create_task(stack.start())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        report("stopping")
        await asyncio.wait({starting})
        return
    starting.result()
    home.save(stack.state())
    out.print(f"Sluice is ready: {stack.base_url}", markup=False)
    report(f"console: {stack.console_url}, `./sluice account login` prints a link that signs you in")
    report("`./sluice down` stops it")
    beside = [asyncio.create_task(work) for work in (_keep_state(home, stack), _restart_when_asked(home, stack))]
    await stopping
    for task in beside:
        task.cancel()
    report("stopping")
    await stack.stop()


async def _restart_when_asked(home: Home, stack: Stack) -> None:
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(RESTART, asked.set)
    while True:
        await asked.wait()
        asked.clear()
        try:
            await stack.restart()
        except StackError as error:
            report(str(error))
        else:
            home.save(stack.state())


async def _keep_state(home: Home, stack: Stack) -> None:
    while True:
        await asyncio.sleep(2)
        home.save(stack.state())


def _detach(home: Home, config: Path | None, kafka: str, port: int) -> None:
    home.prepare()
    if home.running():
        raise StackError(f"a Sluice runs from {home.path} already; `./sluice down` stops it")
    command = [sys.executable, "-m", "services.cli", "up", "--kafka", kafka, "--port", str(port)]
    if config:
        command += ["--config", str(config.resolve())]
    log = home.logs / "supervisor.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
    shown = 0
    deadline = time.monotonic() + DETACHED_WITHIN_S
    while time.monotonic() < deadline:
        lines = log.read_text(errors="replace").splitlines()
        for line in lines[shown:]:
            report(line)
        shown = len(lines)
        state = home.running()
        if state and state.pid == process.pid:
            out.print(state.base_url, markup=False)
            return
        if process.poll() is not None:
            fail("it did not start (see above)")
        time.sleep(0.2)
    process.terminate()
    fail(f"it was not ready within {DETACHED_WITHIN_S} s; its log: {log}")
