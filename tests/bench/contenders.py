"""What is measured side by side: the mock provider itself, the bare chain, trees of Sluice, and peers.

Each is started for a round and stopped after it, so that none pays for another's idling.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil

from deploy.local.home import ROOT, plain_environment
from deploy.local.kafka.installation import install
from deploy.local.kafka.server import prepare, run_command
from deploy.local.kafka.startup_cache import ensure_startup_cache
from deploy.local.ports import LOOPBACK, free_port, wait_until_open
from deploy.local.stack import KAFKA_STORE
from deploy.local.stub import KEY_VARIABLE
from services.cli.output import report
from tests.bench import chain
from tests.bench.asking import Door
from tests.bench.load import Result

STUB_KEY = "sk-bench-0123456789"
READY_WITHIN_S = 120.0
CONFIG = """\
providers:
  stub: {{base_url: "{url}", api_key: "env:{key}"}}
models:
  - id: stub/echo
    provider: stub
    upstream_model: echo-1
    context_length: 128000
    pricing: {{prompt: "0.000002", completion: "0.000008"}}
billing: {{prepaid: false}}
telemetry: {{sample_ratio: 0}}
"""

Drive = Callable[..., Awaitable[Result]]
"""Loads it: ``connections``, ``seconds``, ``stream``, ``each``."""


@dataclass(frozen=True, slots=True)
class Running:
    """One that runs."""

    drive: Drive
    pids: dict[str, int]
    """Of the processes whose CPU counts, by name; their children count with them."""
    streams: bool = True
    audit: Callable[[], bool] | None = None
    """Whether log and ledger agree; None where nobody can say."""

    def cpu_s(self) -> dict[str, float]:
        """Seconds of CPU so far, by process."""
        found: dict[str, float] = {}
        for name, process in _processes(self.pids):
            try:
                spent = process.cpu_times()
            except psutil.Error:
                continue
            found[name] = found.get(name, 0.0) + spent.user + spent.system
        return found

    def memory_mib(self) -> dict[str, int]:
        """Resident memory, by process; what processes share counts for each."""
        found: dict[str, int] = {}
        for name, process in _processes(self.pids):
            try:
                found[name] = found.get(name, 0) + process.memory_info().rss // 2**20
            except psutil.Error:
                continue
        return found


Contender = Callable[[], Any]
"""Gives an asynchronous context with a `Running`."""


def _processes(pids: dict[str, int]) -> Iterator[tuple[str, psutil.Process]]:
    for name, pid in pids.items():
        try:
            process = psutil.Process(pid)
            tree = [process, *process.children(recursive=True)]
        except psutil.Error:
            continue
        for one in tree:
            yield (_label(one) if name == "sluice" else name), one


def _label(process: psutil.Process) -> str:
    """Of a process below ``./sluice up``: the service, or the program."""
    try:
        line = process.cmdline()
    except psutil.Error:
        return "other"
    for word in line:
        if word.startswith("services.") and word != "services.cli":
            return word.removeprefix("services.")
    name = Path(line[0]).name if line else "other"
    return "supervisor" if name.startswith(("python", "sluice")) else "postgres" if "postgres" in name else name


@asynccontextmanager
async def child(command: list[str], *, port: int | None = None, log: Path, **options: Any) -> AsyncIterator[int]:
    """A process that lives as long as the context; its pid, once it listens."""
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, start_new_session=True, **options)
    try:
        if port:
            await wait_until_open(port, within_s=READY_WITHIN_S, what=command[0])
        yield process.pid
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, 60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@asynccontextmanager
async def stub(folder: Path) -> AsyncIterator[str]:
    """The mock provider of all of them; its base URL."""
    port = free_port()
    environment = plain_environment() | {KEY_VARIABLE: STUB_KEY}
    command = [sys.executable, "-m", "deploy.local.stub", str(port)]
    async with child(command, port=port, log=folder / "stub.log", env=environment, cwd=ROOT):
        yield f"http://{LOOPBACK}:{port}/v1"


@asynccontextmanager
async def broker(folder: Path) -> AsyncIterator[tuple[str, int]]:
    """A fresh Kafka node; its address and its pid."""
    installation = await asyncio.to_thread(install, KAFKA_STORE, report)
    await ensure_startup_cache(installation, report)
    port = free_port()
    properties = await asyncio.to_thread(prepare, installation, folder / "kafka", port)
    command = run_command(installation, properties)
    async with child(command, port=port, log=folder / "broker.log", env=plain_environment()) as pid:
        yield f"{LOOPBACK}:{port}", pid


def direct(stub_url: str) -> Contender:
    """The mock provider, called by the client: what is left when there is no gateway."""

    @asynccontextmanager
    async def start() -> AsyncIterator[Running]:
        yield Running(partial(Door(stub_url, "echo-1").load, STUB_KEY), {})

    return start


def bare_chain() -> Contender:
    """See `tests.bench.chain`."""

    @asynccontextmanager
    async def start() -> AsyncIterator[Running]:
        with folder() as where:
            async with broker(where) as (bootstrap, pid):
                await chain.make_topics(bootstrap)
                pids, stages = {"broker": pid}, []
                for number in range(chain.STAGES):
                    command = [sys.executable, "-m", "tests.bench.chain", bootstrap, str(number)]
                    stages.append(child(command, log=where / f"stage{number}.log", cwd=ROOT))
                    pids[f"stage {number + 1}"] = await stages[-1].__aenter__()
                await asyncio.sleep(2)  # The stages read from their topics' ends.

                async def drive(*, connections: int, seconds: float, **_more: Any) -> Result:
                    return await chain.drive(bootstrap, connections=connections, seconds=seconds)

                try:
                    yield Running(drive, pids, streams=False)
                finally:
                    for one in stages:
                        await one.__aexit__(None, None, None)

    return start


def sluice(tree: Path, stub_url: str) -> Contender:
    """A tree of Sluice by its own commands and environment, on a fresh broker, everything on."""

    @asynccontextmanager
    async def start() -> AsyncIterator[Running]:
        with folder() as where:
            config, port = where / "bench.yaml", free_port()
            config.write_text(CONFIG.format(url=stub_url, key=KEY_VARIABLE))
            environment = plain_environment() | {KEY_VARIABLE: STUB_KEY, "SLUICE_HOME": str(where / "home")}
            door = [sys.executable, "-m", "services.cli"] if tree == ROOT else [str(tree / "sluice")]

            def call(*arguments: str) -> Any:
                done = subprocess.run(
                    [*door, *arguments, "--json"],
                    capture_output=True,
                    text=True,
                    env=environment,
                    cwd=tree,
                    check=False,
                )
                return json.loads(done.stdout) if done.stdout.strip() else {"failed": done.stderr[-500:]}

            def clean() -> bool:
                found = subprocess.run([*door, "audit"], capture_output=True, env=environment, cwd=tree, check=False)
                return found.returncode == 0

            async with broker(where) as (bootstrap, broker_pid):
                command = [*door, "up", "--config", str(config), "--kafka", bootstrap]
                command += ["--port", str(port)]
                log = where / "up.log"
                async with child(command, log=log, env=environment, cwd=tree) as pid:
                    await _until_ready(call, log)
                    account = await asyncio.to_thread(call, "account", "create", "--email", "bench@example.com")
                    key = await asyncio.to_thread(call, "key", "create", "--account", account["id"])
                    state = await asyncio.to_thread(call, "status")
                    drive = partial(Door(state["base_url"]).load, key["key"])
                    yield Running(drive, {"broker": broker_pid, "sluice": pid}, audit=clean)

    return start


async def _until_ready(call: Callable[..., Any], log: Path) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + READY_WITHIN_S
    while loop.time() < deadline:
        if (await asyncio.to_thread(call, "status")).get("ready"):
            return
        await asyncio.sleep(1)
    raise RuntimeError(f"it was not ready in time:\n{log.read_text(errors='replace')[-2000:]}")


@contextmanager
def folder() -> Iterator[Path]:
    """A folder for one round."""
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def checkout(commit: str) -> Path:
    """A worktree of a commit of this repository. It stays for the next run, which is faster."""
    name = subprocess.run(
        ["git", "rev-parse", "--short=12", commit], capture_output=True, text=True, cwd=ROOT, check=True
    ).stdout.strip()
    tree = ROOT / ".sluice" / "trees" / name
    if not tree.exists():
        report(f"a worktree of {commit}")
        subprocess.run(["git", "worktree", "add", "--detach", str(tree), commit], cwd=ROOT, check=True)
    return tree


def python_of(tree: Path) -> str:
    """A Python with a tree's packages: ours where they are the same ones, else of an environment of its own."""
    lock = "requirements.lock"
    if (tree / lock).read_bytes() == (ROOT / lock).read_bytes():
        return sys.executable
    own_environment(tree)
    return str(tree / ".venv" / "bin" / "python")


def own_environment(tree: Path) -> None:
    """Makes a tree's own, as its first call does."""
    subprocess.run(
        [str(tree / "sluice"), "--help"], cwd=tree, check=True, stdout=subprocess.DEVNULL, env=dict(os.environ)
    )


@contextmanager
def worktree(commit: str) -> Iterator[Path]:
    """A commit of this repository with an environment of its own."""
    tree = checkout(commit)
    own_environment(tree)
    yield tree


async def answers(url: str) -> bool:
    """Whether an address answers at all."""
    async with httpx.AsyncClient(timeout=2, trust_env=False) as http:
        try:
            await http.get(url)
        except httpx.HTTPError:
            return False
    return True
