"""The programs of clients against a running gateway; docs/clients.md says what passed.

They are run on demand, as they take minutes (``test_sample.py`` runs some of them every time):
``./sluice test tests/clients --write-tables`` runs all of them and writes results and document, ``-k NAME`` chooses,
``--update-pins`` brings the newest versions first.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from deploy.local.home import ROOT
from tests.clients import pins, snippets
from tests.clients.clients import CLIENTS, Client
from tests.clients.environments import FOLDER, NODE, installed, run
from tests.clients.programs import output_of
from tests.clients.providers import mock, stack
from tests.clients.results import Results, collected, failures, table
from tests.documents import agrees
from tests.stacks import Gateway

DOCUMENT = ROOT / "docs/clients.md"
RESULTS = FOLDER / "results.json"


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


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
async def test_a_client(
    request: pytest.FixtureRequest, client: Client, providers: tuple[Gateway, str], tmp_path: Path
) -> None:
    if request.config.getoption("--update-pins"):
        await pins.update(client.folder)
    gateway, mock_url = providers
    cells = collected(await output_of(client, client.models, gateway, mock_url, tmp_path))
    results = _known() | {client.name: {"digest": client.digest, "cells": cells}}
    RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    assert not failures(cells), "\n".join(failures(cells))


@pytest.mark.parametrize("name", snippets.ON_DEMAND)
async def test_a_snippet_of_the_console_runs_as_it_is_shown(
    name: str, providers: tuple[Gateway, str], tmp_path: Path
) -> None:
    gateway, _mock = providers
    for organization in (None, await snippets.organization_of(gateway)):
        home = tmp_path / (organization or "own")
        home.mkdir()
        shown = await snippets.shown(gateway, "stub/echo", organization)
        assert await snippets.output_of(name, shown[name], gateway, home)
    assert organization
    await snippets.charged(gateway, organization, 2)


@pytest.mark.parametrize("name", ["management", "gateway"])
async def test_typescript_is_made_of_both_apis(name: str, full: bool, tmp_path: Path) -> None:
    if not full:
        pytest.skip("run with --write-tables")
    programs = await installed("openapi-typescript") / "node_modules"
    document = ROOT / f"contracts/generated/{name}-openapi.json"
    for command in (
        (str(programs / "openapi-typescript/bin/cli.js"), str(document), "-o", f"{name}.ts"),
        (str(programs / "typescript/bin/tsc"), "--noEmit", "--strict", f"{name}.ts"),
    ):
        code, out, err = await run(str(NODE), *command, folder=tmp_path, environment={}, within_s=120)
        assert code == 0, out + err


def test_the_document_says_what_passed(request: pytest.FixtureRequest) -> None:
    agrees(DOCUMENT, "from runs", table(_known()), request.config)


@pytest.mark.parametrize("client", [one for one in CLIENTS if one.name in _known()], ids=lambda client: client.name)
def test_results_are_of_the_pinned_versions(client: Client) -> None:
    assert _known()[client.name]["digest"] == client.digest, "./sluice test tests/clients --write-tables -k NAME"
