"""What every test may ask for: a broker, or a whole stack, on the chosen Kafka."""

import os
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import settings

from deploy.local.home import Home
from deploy.local.kafka import server
from deploy.local.kafka.installation import install
from deploy.local.kafka.server import local_broker
from deploy.local.kafka.startup_cache import ensure_startup_cache
from deploy.local.ports import LOOPBACK, free_port
from deploy.local.stack import KAFKA_STORE
from libs.bus.settings import BusSettings
from tests.forking import Forks, first_process, started_by
from tests.ordering import ordered, shares
from tests.stacks import Gateway, logged_since, running_stack

settings.register_profile("sluice", deadline=None, max_examples=100)
settings.load_profile("sluice")
_shared = AsyncExitStack()
"""What tests of several files use."""
server.node_flags = server.ONE_COMPILER
for name in [name for name in os.environ if name.startswith("SLUICE_") and name != "SLUICE_PYTHON"]:
    del os.environ[name]


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--kafka embedded|HOST:PORT``, ``--write-tables``, ``--update-pins``."""
    parser.addoption("--kafka", default="embedded", help="embedded or HOST:PORT")
    parser.addoption("--write-tables", action="store_true", help="write what passed into documents")
    parser.addoption("--update-pins", action="store_true", help="pin the newest clients of docs/clients.md first")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """See `tests.ordering`."""
    items[:] = ordered(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: "pytest.CallInfo[None]"
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure comes with what the services logged meanwhile."""
    report = yield
    if report.failed and (logged := logged_since(call.start)):
        report.sections.append(("what the services logged", logged))
    return report


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> str:
    """The chosen broker."""
    return str(request.config.getoption("--kafka"))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def bus(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[BusSettings]:
    """A broker with all topics, and nobody on it. Groups must have names of their own."""
    if ":" in kafka:
        yield BusSettings(bootstrap=kafka, partitions=4)
        return
    yield await _shared.enter_async_context(_broker(tmp_path_factory.mktemp("broker")))
    await _shared.aclose()


@asynccontextmanager
async def _broker(folder: Path) -> AsyncIterator[BusSettings]:
    home = Home(folder)
    home.prepare()
    port = free_port()
    settings_ = BusSettings(bootstrap=f"{LOOPBACK}:{port}", partitions=4)
    installation = install(KAFKA_STORE, print)
    await ensure_startup_cache(installation, print)
    child = local_broker(installation, home, settings_, port, print)
    await child.start()
    yield settings_
    await child.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def _first() -> AsyncIterator[Forks]:
    async with first_process() as forks:
        yield forks


@pytest.fixture(scope="module")
def forks(_first: Forks) -> Iterator[None]:
    """For a file with a stack of its own: its services start as forks. Processes of the shared stack, of the commands
    and of the secured one start as users' do."""
    with started_by(_first):
        yield


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def gateway(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """A whole stack that tests share; whoever breaks it starts one of their own."""
    yield await _shared.enter_async_context(running_stack(tmp_path_factory.mktemp("stack"), kafka))
    await _shared.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def _nothing_idle(request: pytest.FixtureRequest) -> None:
    """Stops what is shared when nobody who is left needs it."""
    items = request.session.items
    if not shares(items[items.index(request._pyfuncitem) :]):
        await _shared.aclose()
