"""Brokers that ask who one is, from packages: everybody does their work, and nothing else is let through."""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import orjson
import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    KafkaError,
    TopicAuthorizationFailedError,
)
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.produce import ProduceRequest

from contracts import topics
from contracts.services import OPERATOR, RELAY, Group, ServiceSpec
from contracts.topics import TOPICS
from deploy.local.home import ROOT, plain_environment
from deploy.local.postgres import SCHEMAS, SHOWN
from libs.bus.access import EVERYBODY, Operation, Resource, entries, user_of
from libs.bus.administration import apply
from libs.bus.letters import Letters
from libs.bus.settings import BusSettings
from tests.secured import SecuredCluster, secured_cluster
from tests.stacks import CONFIG, Gateway, NotYet, chat, running_stack, until

QUEUES = [topic.dead_letters for topic in TOPICS]
NAMES = sorted([topic.name for topic in TOPICS] + QUEUES)
REFUSED = TopicAuthorizationFailedError.errno


def _a_group(group: Group[Any]) -> str:
    """That exists, or may: a family has members only."""
    return f"{group.name}.one" if group.family else group.name


GROUPS = sorted({_a_group(group) for spec in EVERYBODY for group in spec.groups})


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SecuredCluster]:
    async with secured_cluster(tmp_path_factory.mktemp("cluster")) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def gateway(cluster: SecuredCluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    folder = tmp_path_factory.mktemp("secured")
    async with running_stack(folder, cluster.admin.bootstrap, config=CONFIG, access=cluster) as started:
        yield started


@pytest.mark.parametrize("spec", EVERYBODY, ids=lambda spec: spec.name)
async def test_each_may_do_what_its_spec_lists_and_nothing_else(cluster: SecuredCluster, spec: ServiceSpec) -> None:
    """Every topic and queue, in one request each way; every group."""
    mine = [entry for entry in entries([spec]) if entry.user == user_of(spec)]
    reads = {entry.name for entry in mine if (entry.resource, entry.operation) == (Resource.TOPIC, Operation.READ)}
    writes = {entry.name for entry in mine if (entry.resource, entry.operation) == (Resource.TOPIC, Operation.WRITE)}
    client = AIOKafkaAdminClient(**cluster.settings(spec.name).connection())
    await client.start()
    try:
        fetch = FetchRequest(0, 0, 1, 0, [(name, [(0, 0, 1)]) for name in NAMES])
        fetched = await client._send_request(fetch)
        allowed = {name for name, parts in fetched.topics if parts[0][1] != REFUSED}
        assert allowed == reads
        # Not a batch: where it may be written, it is refused for that.
        produced = await client._send_request(ProduceRequest(None, -1, 5_000, [(name, [(0, b"")]) for name in NAMES]))
        assert {name for name, parts in produced.topics if parts[0][1] != REFUSED} == writes
        seen = {_a_group(one) for one in (*spec.groups, *spec.watches_groups)}
        for group in GROUPS:
            assert await _may_see_group(client, group) == (group in seen)
        with pytest.raises(KafkaError):
            await apply(cluster.settings(spec.name), entries(), {"sluice-ingress": "mine now"})
    finally:
        await client.close()


async def _may_see_group(client: AIOKafkaAdminClient, group: str) -> bool:
    async def asked() -> bool | NotYet:
        try:
            await client.list_consumer_group_offsets(group)
        except GroupAuthorizationFailedError:
            return False
        except GroupCoordinatorNotAvailableError as error:
            return NotYet(repr(error))
        return True

    return await until(asked, what="the group's coordinator")


def test_prompts_are_read_by_relays_and_the_operator_alone() -> None:
    readers = {
        entry.user for entry in entries() if entry.name == topics.PROMPTS.name and entry.operation is Operation.READ
    }
    assert readers == {user_of(RELAY), "sluice-operator"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"sasl_password": "wrong"},
        {"sasl_username": "nobody"},
        {"sasl_username": "sluice-relay"},
        {"sasl_mechanism": "PLAIN"},
        {"security_protocol": "PLAINTEXT"},
        {"security_protocol": "SSL"},
        {"security_protocol": "SASL_PLAINTEXT"},
        {"ssl_ca": None},
    ],
    ids=str,
)
async def test_nobody_comes_in_otherwise(cluster: SecuredCluster, wrong: dict[str, str | None]) -> None:
    settings = cluster.settings("ingress").model_copy(update=wrong)
    assert not await _comes_in(settings)


async def test_the_administrator_s_listener_wants_a_certificate(cluster: SecuredCluster) -> None:
    assert await _comes_in(cluster.admin)
    assert not await _comes_in(cluster.admin.model_copy(update={"ssl_certificate": None, "ssl_key": None}))


async def _comes_in(settings: BusSettings) -> bool:
    client = AIOKafkaAdminClient(**settings.connection(), request_timeout_ms=5_000)
    try:
        async with asyncio.timeout(10):
            await client.start()
            await client.describe_cluster()
    except (KafkaError, TimeoutError, OSError):
        return False
    finally:
        await client.close()
    return True


async def test_the_whole_system_works_and_the_books_are_exact(gateway: Gateway, cluster: SecuredCluster) -> None:
    for stream in (False, True):
        response = await gateway.post(chat("hi", stream=stream))
        assert response.status_code == 200, response.text
        entry = await gateway.entry(response.headers["x-request-id"])
        assert entry["outcome"] == "completed"
    policy = await gateway.http.get(f"{gateway.base_url}/models")
    assert policy.status_code == 200
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.audit", "--wait-s", "60"),
        cwd=ROOT,
        env=plain_environment(
            **cluster.environment("audit"), SLUICE_DATABASE_URL=gateway.stack.postgres.url("metering")
        ),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    report = orjson.loads(out)
    assert (report["differences"], report["accepted"]) == ([], 2)
    async with Letters(cluster.settings("operator")) as letters:
        assert await letters.find(OPERATOR.republishes) == [], "no service was refused, or could not read another"

    async def at_rest() -> bool | None:
        health = await gateway.stack.health()
        failing = [name for answer in health.values() for name, work in answer["background"].items() if work["failing"]]
        return not failing or None

    await until(at_rest, what="no failing background work")
    for log in gateway.stack.logs.glob("*.log"):
        assert "AuthorizationFailed" not in log.read_text(errors="replace"), log.name


async def test_the_setup_container_s_command_works_and_works_again(
    gateway: Gateway, cluster: SecuredCluster, tmp_path: Path
) -> None:
    database = "setup_test"
    await gateway.database.execute(f"drop database if exists {database}")
    await gateway.database.execute(f"create database {database}")
    url = gateway.stack.postgres.admin_url().rpartition("/")[0] + f"/{database}"
    shutil.copytree(cluster.secrets, tmp_path, dirs_exist_ok=True)
    for service in SCHEMAS:
        file = tmp_path / f"password-{service}"
        file.chmod(0o600)
        file.write_text(str(urlsplit(gateway.stack.postgres.url(service)).password))
    (tmp_path / "admin-database-url").chmod(0o600)
    (tmp_path / "admin-database-url").write_text(url)
    variables = {
        name: value.replace(str(cluster.secrets), str(tmp_path)) for name, value in cluster.variables("setup").items()
    }
    environment = plain_environment() | variables
    for _ in range(2):
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "deploy.local.setup", env=environment)
        assert await process.wait() == 0
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "select nspname as schema, pg_get_userbyid(nspowner) as role from pg_namespace where nspname = any($1)",
            [*SCHEMAS.values(), *SHOWN.values()],
        )
        guest = await connection.fetchval("select has_schema_privilege('sluice_grafana', 'vault', 'usage')")
        assert guest is False
        assert await connection.fetchval("select has_schema_privilege('sluice_grafana', 'ledger_v1', 'usage')")
    finally:
        await connection.close()
    assert {row["schema"]: row["role"] for row in rows} == {
        "control": "sluice_console",
        "vault": "sluice_key_vault",
        "ledger": "sluice_metering",
        "ledger_v1": "sluice_metering",
    }
