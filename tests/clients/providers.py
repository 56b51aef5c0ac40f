"""The stack that clients are run against: the stub, and aimock, speaking every protocol."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.clients.environments import FOLDER, NODE, installed
from tests.stacks import Gateway, running_stack

BASES = {"mockchat": "/v1", "mockclaude": "/v1", "mockgemini": "/v1beta", "mockconverse": "", "mockresponses": "/v1"}


@asynccontextmanager
async def mock() -> AsyncIterator[str]:
    """The address of a running aimock."""
    folder = await installed("aimock")
    program = folder / "serve.mjs"
    program.write_text((FOLDER / "aimock" / "serve.mjs").read_text())
    process = await asyncio.create_subprocess_exec(str(NODE), str(program), stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def stack(folder: Path, kafka: str, mock_url: str) -> AsyncIterator[Gateway]:
    """A stack whose providers are the stub and the mock."""
    addresses = {f"SLUICE_PROVIDERS__{name.upper()}__BASE_URL": f"{mock_url}{base}" for name, base in BASES.items()}
    config = FOLDER / "stack.yaml"
    async with running_stack(folder, kafka, config=config, environment=addresses) as started:
        yield started
