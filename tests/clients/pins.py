"""Lock files of clients: the newest versions that install, with hashes and without addresses."""

import asyncio
import json
import shutil
import tempfile
from pathlib import Path

import uv

from tests.clients.environments import FOLDER, NODE, NPM, run

PYTHON = ("--universal", "--generate-hashes", "--no-header", "--no-annotate", "--python-version", "3.11", "--upgrade")
NODE_OPTIONS = ("--package-lock-only", "--omit-lockfile-registry-resolved", "--no-audit", "--no-fund", "--save-exact")


async def update(client: str) -> None:
    """Pins the newest versions of a client's packages."""
    source = FOLDER / client
    if (source / "package.json").exists():
        await _node(source)
        return
    code, out, err = await run(
        *(uv.find_uv_bin(), "pip", "compile", "--quiet", *PYTHON, "requirements.in", "-o", "requirements.lock"),
        folder=source,
        environment={},
        within_s=300,
    )
    assert code == 0, out + err


async def _node(source: Path) -> None:
    """Away from here: npm would look for a project above."""
    wanted = [f"{name}@latest" for name in json.loads((source / "package.json").read_text())["dependencies"]]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(source / "package.json", folder)
        command = (str(NODE), str(NPM), "install", *NODE_OPTIONS, *wanted)
        code, out, err = await run(*command, folder=folder, environment={}, within_s=300)
        assert code == 0, out + err
        for file in ("package.json", "package-lock.json"):
            await asyncio.to_thread(shutil.copy, folder / file, source)
