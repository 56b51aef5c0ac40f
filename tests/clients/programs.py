"""Runs a client's program in its environment."""

import shutil
from pathlib import Path

from tests.clients.clients import Client
from tests.clients.environments import HARNESS, NODE, installed, run
from tests.stacks import Gateway

WITHIN_S = 900


async def output_of(client: Client, models: tuple[str, ...], gateway: Gateway, mock_url: str, home: Path) -> str:
    """What the program prints: a line for each case and model.

    Args:
        mock_url: of aimock; may be empty where no model of it is among those that are tried.
        home: the home folder of whoever runs it.
    """
    folder = await installed(client.folder)
    environment = {
        "SLUICE_URL": gateway.base_url,
        "SLUICE_KEY": gateway.key,
        "SLUICE_STUB": gateway.stack.stub_url,
        "SLUICE_MOCK": mock_url,
        "SLUICE_MODELS": " ".join(models),
        "SLUICE_FLAVOUR": client.flavour,
        "SLUICE_CLIENT": str(folder),
        "PYTHONPATH": str(HARNESS),
        "HOME": str(home),
    }
    command = [str(folder / "bin" / "python"), str(client.program)]
    if client.program.suffix == ".mjs":
        for file in (client.program, *HARNESS.glob("*.mjs")):
            shutil.copy(file, folder)
        command = [str(NODE), str(folder / client.program.name)]
    code, out, err = await run(*command, folder=home, environment=environment, within_s=WITHIN_S)
    assert code == 0, err[-3000:]
    return out
