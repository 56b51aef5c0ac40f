"""The commands, as people run them: in processes of their own, with a home of their own."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import psutil
import pytest

from deploy.local.home import ROOT, Home
from deploy.local.ports import free_port
from libs.bus.settings import BusSettings
from tests.stacks import until


@dataclass
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


class Shell:
    """Runs ``./sluice`` with a home in a temporary folder."""

    def __init__(self, home: Path) -> None:
        self.home = home

    async def start(self, *words: str, stdin: str | None = None) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            str(ROOT / "sluice"),
            *words,
            env=os.environ | {"SLUICE_HOME": str(self.home), "XDG_CONFIG_HOME": str(self.home / "config")},
            stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        if stdin is not None:
            assert process.stdin
            process.stdin.write(f"{stdin}\n".encode())
            process.stdin.close()
        return process

    async def run(self, *words: str) -> Done:
        process = await self.start(*words)
        async with asyncio.timeout(150):
            out, err = await process.communicate()
        return Done(process.returncode or 0, out.decode(), err.decode())

    async def json(self, *words: str) -> Any:
        done = await self.run(*words, "--json")
        assert done.code == 0, done.err
        return json.loads(done.out)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path / "home")


def _family(pid: int) -> list[psutil.Process]:
    return [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]


def _left(family: list[psutil.Process]) -> list[str]:
    _gone, alive = psutil.wait_procs(family, timeout=10)
    return [process.name() for process in alive]


async def _read_until(mark: bytes, stream: asyncio.StreamReader) -> bytes:
    """Reads lines up to one with the mark. A process that ends before it fails the test with what it printed."""
    lines: list[bytes] = []
    async with asyncio.timeout(90):
        while not lines or mark not in lines[-1]:
            lines.append(await stream.readline())
            assert lines[-1], b"".join(lines).decode()
    return b"".join(lines)


@asynccontextmanager
async def _up(shell: Shell, port: int, *words: str) -> AsyncIterator[Home]:
    done = await shell.run("up", "--detach", "--port", str(port), *words)
    assert done.code == 0, done.err
    try:
        yield Home(shell.home / "up")
    finally:
        await shell.run("down")


async def test_the_demo_shows_the_whole_way_of_a_request_and_leaves_nothing_behind(shell: Shell) -> None:
    async with asyncio.timeout(150):
        process = await shell.start("demo", "--once", "--port", str(free_port()))
        assert process.stderr
        began = await _read_until(b"services:", process.stderr)
        family = _family(process.pid)
        out, err = await process.communicate()
    done = Done(process.returncode or 0, out.decode(), (began + err).decode())
    assert done.code == 0, done.err
    assert len(family) > 5
    assert _left(family) == []
    for service in ("ingress", "policy", "rate-limit", "key-vault", "router", "relay", "metering"):
        assert f"  {service} " in done.out, done.out
    assert "curl -N http://127.0.0.1:" in done.out
    assert "stub/echo says: " in done.out
    assert "outcome            completed" in done.out
    assert "cost microdollars  174" in done.out
    for part in ("broker:", "database:", "ready: ingress"):
        assert part in done.err
    assert "Traceback" not in done.err
    assert Home(shell.home / "demo").running() is None


async def test_ctrl_c_leaves_nothing_behind(shell: Shell) -> None:
    process = await shell.start("demo", "--port", str(free_port()))
    assert process.stderr
    await _read_until(b"services:", process.stderr)
    family = _family(process.pid)
    assert len(family) > 5
    await _interrupt(process)
    assert _left(family) == []


async def _interrupt(process: asyncio.subprocess.Process) -> None:
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(60):
        _out, err = await process.communicate()
    assert process.returncode == 0
    assert b"Traceback" not in err


async def test_a_killed_supervisor_takes_its_children_with_it(shell: Shell) -> None:
    async with _up(shell, free_port()) as home:
        state = home.running()
        assert state
        family = _family(state.pid)
        psutil.Process(state.pid).kill()
        assert _left(family) == []
        status = await shell.run("status")
        assert (status.code, "no Sluice runs" in status.err) == (1, True)


async def test_up_status_management_and_down(shell: Shell) -> None:
    port = free_port()
    async with _up(shell, port, "--config", str(ROOT / "tests/stack.yaml")) as home:
        status = json.loads((await shell.run("status", "--json")).out)
        assert status["base_url"] == f"http://127.0.0.1:{port}/api/gateway"
        assert status["ready"] is True
        assert {"broker", "postgres", "ingress", "relay"} <= set(status["services"])
        assert all(service["ready"] and service["pid"] for service in status["services"].values())
        await _debugged(shell, home)
        again = await shell.run("up", "--port", str(free_port()))
        assert (again.code, "./sluice down" in again.err) == (1, True)

        account = await shell.json("account", "create", "--email", "cli@example.com")
        twice = await shell.run("account", "create", "--email", "CLI@example.com", "--json")
        assert (twice.code, "already" in twice.err, twice.out) == (1, True, "")
        key = await shell.json("key", "create", "--account", account["id"], "--name", "laptop", "--expires", "90d")
        assert set(key) >= {"id", "key"}
        listed = await shell.run("key", "list", "--account", account["id"], "--json")
        assert [row["name"] for row in json.loads(listed.out)] == ["laptop"]
        assert key["key"] not in listed.out
        assert (await shell.run("key", "create", "--account", "acct_none")).code == 1
        assert (await shell.run("key", "create", "--account", account["id"], "--expires", "soon")).code == 1

        client = openai.AsyncOpenAI(base_url=status["base_url"], api_key=key["key"], max_retries=0)
        async with client:
            # The configured provider's key is not in the environment: the vault's message names it.
            with pytest.raises(openai.InternalServerError, match="SLUICE_STUB_KEY"):
                await client.chat.completions.create(model="stub/echo", messages=[{"role": "user", "content": "hi"}])
            assert (await shell.run("key", "revoke", key["id"])).code == 0

            async def revoked() -> bool | None:
                try:
                    await client.chat.completions.create(
                        model="stub/echo", messages=[{"role": "user", "content": "hi"}]
                    )
                except openai.AuthenticationError:
                    return True
                except openai.InternalServerError:
                    return None
                return None

            await until(revoked, what="revocation", within_s=10)
        await _organization_by_cli(shell, account["id"])
        before = await shell.json("audit", "--wait", "30")
        assert before["accepted"] >= 1
        family = _family(int(status["pid"]))
        assert (await shell.run("down")).code == 0
        assert _left(family) == []
        assert home.running() is None
    # Accounts outlive a restart, and so does the log: the audit finds every request on it again.
    foreground = await shell.start("up", "--port", str(port), "--kafka", "apache")
    assert foreground.stdout
    await _read_until(b"Sluice is ready", foreground.stdout)
    family = _family(foreground.pid)
    after = await shell.json("audit")
    assert (after["accepted"], after["outcomes"]) == (before["accepted"], before["outcomes"])
    assert after["differences"] == []
    accounts = json.loads((await shell.run("account", "list", "--json")).out)
    assert [row["email"] for row in accounts] == ["cli@example.com", "member@example.com"]
    await _interrupt(foreground)
    assert _left(family) == []


async def _debugged(shell: Shell, home: Home) -> None:
    """A service runs in the foreground until it is interrupted, and then under the supervisor again."""
    process = await shell.start("debug", "policy")
    assert process.stderr
    await _read_until(b'"assigned"', process.stderr)
    wrong = await shell.run("debug", "nothing")
    assert (wrong.code, "key-vault" in wrong.err) == (1, True)
    await _interrupt(process)

    async def supervised() -> bool | None:
        state = home.running()
        return (state is not None and "policy" in state.services) or None

    await until(supervised, what="policy under its supervisor")


async def _organization_by_cli(shell: Shell, owner: str) -> None:
    member = await shell.json("account", "create", "--email", "member@example.com")
    organization = (await shell.json("org", "create", "--name", "Acme", "--owner", owner))["id"]
    await shell.json("org", "member", "add", organization, "member@example.com", "--role", "billing_manager")
    assert (await shell.json("org", "member", "set", organization, member["id"], "--role", "member"))[
        "role"
    ] == "member"
    assert set(await shell.json("org", "token", organization, "--account", member["id"])) >= {"token", "expires_at"}
    file = shell.home / "policy.yaml"
    file.write_text("model_allow: [stub/*]\n")
    assert (await shell.json("policy", "set", organization, str(file)))["version"] == 1
    assert (await shell.json("policy", "show", organization))["policy"] == {"model_allow": ["stub/*"]}
    await shell.json("org", "team", "create", organization, "core")
    assert (await shell.json("org", "team", "add", organization, "core", member["id"]))["members"] == [member["id"]]
    limited = await shell.json("limits", "set", "--org", organization, "team:core", "usd_per_day=5", "concurrent=2")
    assert limited["limits"] == {"team:core": {"usd_per_day": "5.000000", "concurrent": 2}}
    shown = await shell.run("limits", "show", "--org", organization)
    limit = ["team:core", "usd_per_day", "5.000000", "0.000000", "owner"]
    assert limit in [line.split()[:5] for line in shown.out.splitlines()]
    bananas = await shell.run("limits", "set", "--org", organization, "all", "bananas_per_day=1")
    assert (bananas.code, "requests_per_day" in bananas.err) == (1, True)
    last = await shell.run("org", "member", "remove", organization, owner)
    assert (last.code, "last owner" in last.err) == (1, True)
    trail = json.loads((await shell.run("org", "audit", organization, "--json")).out)
    assert {row["actor"] for row in trail} == {"operator"}

    # As a person: logged in with a key from stdin, to the console's address, from a home where nothing runs.
    status = json.loads((await shell.run("status", "--json")).out)
    key = await shell.json("key", "create", "--account", member["id"], "--scope", "inference", "--scope", "manage")
    person = Shell(shell.home / "person")
    process = await person.start("login", "--url", status["console_url"], stdin=key["key"])
    assert await process.wait() == 0
    assert (await person.json("whoami"))["account"] == member["id"]
    link = (await person.json("account", "login"))["url"]
    assert link.startswith(f"{status['console_url']}/sign-in?code=")
    assert [row["name"] for row in json.loads((await person.run("org", "list", "--json")).out)] == ["Acme"]
    refused = await person.run("account", "list")
    assert (refused.code, "operator" in refused.err) == (1, True)
    assert (await person.run("logout")).code == 0
    assert (await person.run("whoami")).code == 1
    wrong = await person.start("login", "--url", status["console_url"], stdin="nonsense-canary")
    _out, err = await wrong.communicate()
    assert (wrong.returncode, b"canary" in err) == (1, False)


async def test_errors_name_what_is_in_the_way(shell: Shell, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for command in ("demo", "up"):
            done = await shell.run(command, "--port", port)
            assert (done.code, f"port {port}" in done.err, "--port" in done.err) == (1, True, True)
            assert "Traceback" not in done.err
    wrong = tmp_path / "wrong.yaml"
    for content, hint in (
        ("providers: {p: {base_url: 'http://x', api_key: 'sk-secret-canary'}}", "env:NAME"),
        ("models: [{id: a/b, provider: none, upstream_model: b}]", "unknown provider"),
        ("providers: [", "YAML"),
    ):
        wrong.write_text(content)
        done = await shell.run("up", "--config", str(wrong), "--port", str(free_port()))
        assert (done.code, hint in done.err) == (1, True), done.err
        assert "Traceback" not in done.err
        assert "canary" not in done.err
    refused: tuple[tuple[tuple[str, ...], str], ...] = (
        (("up", "--config", str(tmp_path / "none.yaml")), "no configuration file"),
        (("up", "--kafka", "nowhere", "--port", str(free_port())), "HOST:PORT"),
        (("up", "--kafka", f"127.0.0.1:{free_port()}", "--port", str(free_port())), "could not be used"),
        (("down",), "no Sluice runs"),
        (("account", "list", "--url", "http://127.0.0.1:9", "--key", "x"), "does not answer"),
    )
    for words, hint in refused:
        done = await shell.run(*words)
        assert (done.code, hint in done.err) == (1, True), done.err
        assert "Traceback" not in done.err


async def test_topics_of_one_s_own_broker_that_are_of_another_shape_are_reported(
    shell: Shell, bus: BusSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_KAFKA_PARTITIONS", str(bus.partitions + 1))
    done = await shell.run("up", "--kafka", bus.bootstrap, "--port", str(free_port()))
    hint = f"has {bus.partitions} partitions, not {bus.partitions + 1}"
    assert (done.code, hint in done.err, "SLUICE_KAFKA_PARTITIONS" in done.err) == (1, True, True), done.err
    assert "Traceback" not in done.err


async def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    done = await Shell(tmp_path / "file").run("demo", "--once")
    assert (done.code, "cannot write" in done.err, "Traceback" in done.err) == (1, True, False)
