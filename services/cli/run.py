"""``up``, ``down`` and ``status``."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import httpx
import psutil
import typer

from deploy.local.errors import StackError
from deploy.local.home import ROOT, Home, StackState, default_homes
from deploy.local.stack import Stack, StackOptions, ask_health
from services.cli.output import Json, as_json, as_table, fail, out, report

DOWN_WITHIN_S = 60
DETACHED_WITHIN_S = 180

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


def down() -> None:
    """Stop the Sluice that runs from this folder."""
    state = running()[1]
    process = psutil.Process(state.pid)
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(DOWN_WITHIN_S)
    except psutil.TimeoutExpired:
        fail(f"process {state.pid} did not stop within {DOWN_WITHIN_S} s")
    report("stopped")


def status(json: Json = False) -> None:
    """Show what runs from this folder, and how it is."""
    _, state = running()
    services = asyncio.run(_service_rows(state))
    ready = all(row["ready"] for row in services)
    if json:
        content = state.model_dump(include={"pid", "base_url", "console_url", "broker", "kafka", "database"})
        by_name = {row["service"]: {name: row[name] for name in ("pid", "ready", "lag")} for row in services}
        as_json(content | {"ready": ready, "services": by_name})
    else:
        out.print(f"base URL  {state.base_url}\nconsole   {state.console_url}", markup=False)
        out.print(f"broker    {state.broker} at {state.kafka}\ndatabase  {state.database}\n", markup=False)
        as_table(services, "nothing runs")
    if not ready:
        sys.exit(1)


def running() -> tuple[Home, StackState]:
    """The Sluice that runs from this folder.

    Raises:
        StackError: none does.
    """
    for home in default_homes():
        state = home.running()
        if state:
            return home, state
    raise StackError("no Sluice runs from this folder; `./sluice up` starts one")


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
    report("Ctrl-C stops it")
    keeping = asyncio.create_task(_keep_state(home, stack))
    await stopping
    keeping.cancel()
    report("stopping")
    await stack.stop()


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


async def _service_rows(state: StackState) -> list[dict[str, Any]]:
    async with httpx.AsyncClient(timeout=2) as client:

        async def row(name: str) -> dict[str, Any]:
            service = state.services[name]
            if service.health_port is None:
                return {
                    "service": name,
                    "pid": service.pid,
                    "ready": psutil.pid_exists(service.pid),
                    "lag": None,
                    "waits for": "",
                }
            answer = await ask_health(client, service.health_port)
            missing = ", ".join(check for check, good in answer.get("checks", {}).items() if not good)
            return {
                "service": name,
                "pid": service.pid,
                "ready": bool(answer.get("ready")),
                "lag": answer.get("lag"),
                "waits for": missing,
            }

        return list(await asyncio.gather(*(row(name) for name in state.services)))
