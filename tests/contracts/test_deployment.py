"""docker-compose.yml as far as it can be checked without Docker: its form, and that it sets what the code needs."""

import asyncio
import base64
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
import yaml

from contracts.services import SERVICES as ALL
from deploy.local.compose import filled_in
from deploy.local.home import ROOT, plain_environment
from deploy.local.postgres import READERS, SCHEMAS
from deploy.local.stack import SERVICES
from libs.bus.settings import BusSettings
from libs.bus.signing import SigningSettings, trusted_variable
from tests.stacks import Gateway

COMPOSE = ROOT / "docker-compose.yml"
SPECS = {spec.name: spec for spec in ALL}


def _services() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return services


def test_it_is_a_compose_file() -> None:
    check = Path(sys.executable).with_name("check-jsonschema")
    command = [str(check), "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_service_is_there_with_its_own_entry_point_and_no_more_than_it_needs() -> None:
    services = _services()
    assert set(SERVICES) <= set(services)
    for name in SERVICES:
        service = services[name]
        assert service["command"] == ["python", "-m", f"services.{name.replace('-', '_')}"]
        assert ("SLUICE_DATABASE_URL" in service["environment"]) == (name in SCHEMAS)
        assert ("env_file" in service) == (name == "key-vault")
        assert service["cap_drop"] == ["ALL"]
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        secrets = [key for key in service["environment"] if "TOKEN" in key or "ENCRYPTION" in key]
        assert bool(secrets) == (name in ("console", "key-vault"))
        assert ("SLUICE_RECORD_KEY" in service["environment"]) == SPECS[name].signs


def test_every_variable_is_in_the_example() -> None:
    example = (ROOT / "deploy/compose.env.example").read_text()
    needed = {part.split(":?")[0] for part in COMPOSE.read_text().split("${")[1:] if ":?" in part.split("}")[0]}
    assert needed
    assert {name for name in needed if f"\n{name}=" not in example} == set()


def test_the_secrets_that_are_drawn_are_those_that_services_start_with(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = dict(line.split("=", 1) for line in filled_in().splitlines() if line and not line.startswith("#"))
    assert all(drawn.values())
    assert len(set(drawn.values())) == len(drawn)
    for name, container in _services().items():
        if name in SPECS:
            for variable, text in container["environment"].items():
                known = str(text).startswith("${") and drawn.get(text.removeprefix("${").removesuffix(":?}"))
                monkeypatch.setenv(variable, known or str(text))
            settings = SigningSettings()
            settings.trust(SPECS[name])
            signer = settings.signer(SPECS[name])
            if signer:
                public = drawn[trusted_variable(name)]
                assert base64.b64encode(signer.public_key).decode() == public


async def test_the_setup_container_s_command_works_and_works_again(gateway: Gateway, bus: BusSettings) -> None:
    database = "setup_test"
    await gateway.database.execute(f"drop database if exists {database}")
    await gateway.database.execute(f"create database {database}")
    url = gateway.stack.postgres.admin_url().rpartition("/")[0] + f"/{database}"
    passwords = {
        f"SLUICE_PASSWORD_{service.upper().replace('-', '_')}": urlsplit(gateway.stack.postgres.url(service)).password
        for service in SCHEMAS
    }
    environment = plain_environment(SLUICE_KAFKA_BOOTSTRAP=bus.bootstrap, SLUICE_ADMIN_DATABASE_URL=url, **passwords)
    for _ in range(2):
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "deploy.local.setup", env=environment)
        assert await process.wait() == 0
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "select nspname as schema, pg_get_userbyid(nspowner) as role from pg_namespace where nspname = any($1)",
            list(SCHEMAS.values()),
        )
    finally:
        await connection.close()
    assert {row["schema"]: row["role"] for row in rows} == {
        "control": "sluice_console",
        "vault": "sluice_key_vault",
        "ledger": "sluice_metering",
    }


@pytest.mark.parametrize("service", SCHEMAS)
async def test_no_service_reaches_another_s_schema_but_to_read_what_it_shows(gateway: Gateway, service: str) -> None:
    connection = await asyncpg.connect(gateway.stack.postgres.url(service))
    try:
        tables = {"console": "control.accounts", "key-vault": "vault.credentials", "metering": "ledger.entries"}
        for owner, table in tables.items():
            if owner == service or READERS.get(service) == owner:
                await connection.fetch(f"select * from {table} limit 1")
                continue
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"select * from {table} limit 1")
        if service == "console":
            for change in ("delete from ledger.outbox", "insert into ledger.balances values ('acct:x', 1, 1)"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(change)
    finally:
        await connection.close()
