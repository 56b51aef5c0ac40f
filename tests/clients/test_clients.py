"""The programs of clients against a running gateway; docs/clients.md says what passed.

They are run on demand, as they take minutes: ``./sluice test tests/clients --write-tables`` runs all of them and writes
results and document, ``-k NAME`` chooses, ``--update-pins`` brings the newest versions first.
"""

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from deploy.local.home import ROOT
from tests.clients import pins
from tests.clients.clients import CLIENTS, Client
from tests.clients.environments import FOLDER, HARNESS, NODE, installed, run
from tests.clients.providers import mock, stack
from tests.clients.results import Results, collected, failures, table
from tests.documents import agrees
from tests.stacks import Gateway

DOCUMENT = ROOT / "docs/clients.md"
RESULTS = FOLDER / "results.json"
WITHIN_S = 900


def _known() -> Results:
    known: Results = json.loads(RESULTS.read_text())
    return known


@pytest.fixture(scope="module")
def full(request: pytest.FixtureRequest) -> bool:
    """Everything is run, not a sample."""
    return bool(request.config.getoption("--write-tables"))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def providers(
    full: bool, kafka: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Gateway, str]]:
    """A stack, and the mock's address."""
    if not full:
        pytest.skip("run with --write-tables")
    async with mock() as address, stack(tmp_path_factory.mktemp("clients"), kafka, address) as gateway:
        yield gateway, address


async def _output(client: Client, models: tuple[str, ...], gateway: Gateway, mock_url: str, home: Path) -> str:
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


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
async def test_a_client(
    request: pytest.FixtureRequest, client: Client, providers: tuple[Gateway, str], tmp_path: Path
) -> None:
    if request.config.getoption("--update-pins"):
        await pins.update(client.folder)
    gateway, mock_url = providers
    cells = collected(await _output(client, client.models, gateway, mock_url, tmp_path))
    results = _known() | {client.name: {"digest": client.digest, "cells": cells}}
    RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    assert not failures(cells), "\n".join(failures(cells))


def test_the_document_says_what_passed(request: pytest.FixtureRequest) -> None:
    agrees(DOCUMENT, "from runs", table(_known()), request.config)


@pytest.mark.parametrize("client", [one for one in CLIENTS if one.name in _known()], ids=lambda client: client.name)
def test_results_are_of_the_pinned_versions(client: Client) -> None:
    assert _known()[client.name]["digest"] == client.digest, "./sluice test tests/clients --write-tables -k NAME"
