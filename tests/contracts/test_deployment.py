"""docker-compose.yml as far as it can be checked without Docker: its form, and that it sets what the code needs."""

import asyncio
import base64
import os
import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import yaml

from contracts.services import SERVICES as ALL
from deploy.grafana import render
from deploy.local.compose import draw, renew_certificates, trusted_file
from deploy.local.errors import StackError
from deploy.local.home import ROOT, plain_environment
from deploy.local.ports import LOOPBACK, free_port
from deploy.local.postgres import READERS, SCHEMAS, SHOWN
from deploy.local.stack import OPTIONAL, SERVICES
from libs.bus.signing import SigningSettings
from libs.runtime.secret_files import read_secret_files
from tests.secured import COMPOSE, container, environment_of, properties_of
from tests.stacks import Gateway, until

KAFKA_FILES = ["kafka-admin", "kafka-admin-key", "kafka-broker", "kafka-ca"]
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
        given = set(service["environment"])
        assert service["command"] == ["python", "-m", f"services.{name.replace('-', '_')}"]
        assert ("SLUICE_DATABASE_URL_FILE" in given) == (name in SCHEMAS)
        assert ("env_file" in service) == (name == "key-vault")
        assert service["cap_drop"] == ["ALL"]
        assert "ports" not in service, "it could not be there twice"
        secrets = [key for key in given if "TOKEN" in key or "ENCRYPTION" in key]
        assert bool(secrets) == (name in ("console", "key-vault"))
        assert ("SLUICE_RECORD_KEY_FILE" in given) == SPECS[name].signs
        assert service["environment"]["SLUICE_KAFKA_SASL_USERNAME"] == f"sluice-{name}"
        assert given >= {"SLUICE_KAFKA_SASL_PASSWORD_FILE", "SLUICE_KAFKA_SSL_CA"}
        mounted = {f"/run/secrets/{secret}" for secret in service["secrets"]}
        assert {str(one) for one in service["environment"].values() if str(one).startswith("/run/secrets/")} == mounted
        assert not {secret for secret in service["secrets"] if "password" in secret} - {f"kafka-password-{name}"}


def test_no_secret_is_a_variable_and_every_container_is_bounded() -> None:
    assert "${" not in COMPOSE.read_text().replace("${SLUICE_REVISION:-}", "")
    for name, service in _services().items():
        assert service["deploy"]["resources"]["limits"].keys() >= {"cpus", "memory", "pids"}, name
        assert "healthcheck" in service, name
        assert service["image"].partition("@")[0].rpartition(":")[2].count(".") >= 1, f"{name} is of no exact version"
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_every_file_that_is_mounted_is_there(tmp_path: Path) -> None:
    document = yaml.safe_load(COMPOSE.read_text())
    assert not [one["file"] for one in document["configs"].values() if not (ROOT / one["file"]).is_file()]
    drawn = set(draw(tmp_path))
    assert {Path(one["file"]).name for one in document["secrets"].values()} == drawn
    used = {secret for service in document["services"].values() for secret in service.get("secrets", [])}
    assert used == drawn
    for service in document["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in document["volumes"] or (ROOT / source).is_dir()


def test_who_sends_scrapes_and_shows_telemetry_finds_who_has_it() -> None:
    """Of programs that are not run here: what one file says of another container is what that one's file says."""
    services, compose = _services(), ROOT / "deploy/compose"
    collector = yaml.safe_load((compose / "collector.yaml").read_text())
    for pipeline in collector["service"]["pipelines"].values():
        for kind in ("receivers", "processors", "exporters"):
            assert set(pipeline[kind]) <= set(collector[kind]), "a part that nobody has described"
    received = collector["receivers"]["otlp"]["protocols"]["http"]["endpoint"]
    sent = {services[name]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"] for name in (*SERVICES, *OPTIONAL)}
    assert sent == {f"http://collector:{received.rpartition(':')[2]}"}
    tempo = yaml.safe_load((compose / "tempo.yaml").read_text())
    taken = tempo["distributor"]["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"]
    assert collector["exporters"]["otlp/tempo"]["endpoint"] == f"tempo:{taken.rpartition(':')[2]}"
    prometheus = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    scraped = {one["job_name"]: one["dns_sd_configs"][0] for one in prometheus["scrape_configs"]}
    assert set(scraped) == {*SERVICES, *OPTIONAL}
    assert all((found["names"], found["port"]) == ([name], 9000) for name, found in scraped.items())
    provisioned = ROOT / "deploy/grafana/provisioning/datasources/sluice.yaml"
    sources = {one["uid"]: one for one in yaml.safe_load(provisioned.read_text())["datasources"]}
    assert sources["sluice-tempo"]["url"] == f"http://tempo:{tempo['server']['http_listen_port']}"
    assert sources["sluice-prometheus"]["url"] == "http://prometheus:9090"
    assert {one["url"].removeprefix("http://").partition(":")[0] for one in sources.values()} <= set(services)
    dashboards = "".join(file.read_text() for file in render.FOLDER.glob("*.json"))
    shown = set(re.findall(r'"uid": "(sluice-[a-z]+)"', dashboards))
    assert {"sluice-prometheus", "sluice-postgres"} <= shown & set(sources)


def test_the_image_is_given_what_it_copies_and_no_secret() -> None:
    kept = {line[1:].strip("/") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [line.split()[1:-1] for line in (ROOT / "deploy/Dockerfile").read_text().splitlines() if "COPY " in line]
    sources = {source for one in copied for source in one if not source.startswith(("--", "/"))}
    assert sources == kept
    assert "deploy/secrets" not in kept


def test_the_brokers_let_nobody_do_what_no_entry_allows() -> None:
    found = properties_of(container("kafka")["environment"])
    kinds = dict(one.split(":") for one in found["listener.security.protocol.map"].split(","))
    assert set(kinds.values()) == {"SASL_SSL", "SSL"}
    assert all(name in ("SERVICES", "ADMIN", "CONTROLLER") for name in kinds)
    assert (
        found["listener.name.admin.ssl.client.auth"] == found["listener.name.controller.ssl.client.auth"] == "required"
    )
    assert (found["allow.everyone.if.no.acl.found"], found["auto.create.topics.enable"]) == ("false", "false")
    assert "ports" not in container("kafka"), "it is not reached from outside"


def test_certificates_are_renewed_and_the_former_ca_is_believed_until_the_next_time(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="no certificates"):
        renew_certificates(tmp_path)
    draw(tmp_path, broker_hosts=["a.internal"])
    ca = tmp_path / "kafka-ca"
    seen = [ca.read_text()]
    inode = ca.stat().st_ino
    for _ in range(3):
        assert renew_certificates(tmp_path, broker_hosts=["b.internal"]) == KAFKA_FILES
        seen.append(ca.read_text())
    assert ca.stat().st_ino == inode, "containers have the file, not its name"
    assert seen[3].count("BEGIN CERTIFICATE") == 2
    assert seen[3].endswith(seen[2].partition("-----END CERTIFICATE-----\n")[0] + "-----END CERTIFICATE-----\n")


def test_urls_name_the_database_s_host(tmp_path: Path) -> None:
    draw(tmp_path, database_host="db.internal:6432")
    assert all("@db.internal:6432/sluice" in file.read_text() for file in tmp_path.glob("*database-url*"))


def test_secrets_are_drawn_once(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    names = draw(folder)
    before = {name: (folder / name).read_text() for name in names}
    assert len(set(before.values())) == len(names)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert draw(folder) == []
    (folder / "record-key-relay").unlink()
    with pytest.raises(StackError, match="belong together"):
        draw(folder)
    (folder / trusted_file("relay")).unlink()
    assert set(draw(folder)) == {"record-key-relay", trusted_file("relay")}
    changed = {name for name in names if (folder / name).read_text() != before[name]}
    assert changed == {"record-key-relay", trusted_file("relay")}


def test_the_secrets_that_are_drawn_are_those_that_services_start_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    draw(tmp_path)
    for name in SERVICES:
        with monkeypatch.context() as patched:
            for variable, text in environment_of(name, tmp_path).items():
                patched.setenv(variable, text)
            changed = dict(os.environ)
            read_secret_files(changed)
            for variable in changed.keys() - os.environ.keys():
                patched.setenv(variable, changed[variable])
            settings = SigningSettings()
            settings.trust(SPECS[name])
            signer = settings.signer(SPECS[name])
            if signer:
                assert base64.b64encode(signer.public_key).decode() == (tmp_path / trusted_file(name)).read_text()


async def test_every_entry_point_starts_with_its_container_s_environment(tmp_path: Path) -> None:
    """As far as a broker is needed: each waits for one, says so, and ends on SIGTERM."""
    draw(tmp_path)
    names = (*SERVICES, *OPTIONAL)
    ports = {name: free_port() for name in names}
    processes = {
        name: await asyncio.create_subprocess_exec(
            sys.executable,
            *_services()[name]["command"][1:],
            env=plain_environment()
            | environment_of(name, tmp_path)
            | {
                "SLUICE_CONFIG": str(ROOT / "deploy/compose/sluice.yaml"),
                "SLUICE_KAFKA_BOOTSTRAP": f"{LOOPBACK}:{free_port()}",
                "SLUICE_HEALTH_PORT": str(ports[name]),
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{LOOPBACK}:{free_port()}",
            },
            stderr=(tmp_path / f"{name}.log").open("wb"),
        )
        for name in names
    }
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            for name, process in processes.items():

                async def page(path: str, port: int = ports[name], process: Any = process) -> httpx.Response | None:
                    if process.returncode is not None:
                        raise AssertionError(f"it ended with {process.returncode}")
                    try:
                        return await client.get(f"http://{LOOPBACK}:{port}{path}")
                    except httpx.ConnectError:
                        return None

                assert (await until(partial(page, "/livez"), what=f"a sign of life of {name}")).status_code == 200
                waiting = await page("/readyz")
                assert waiting is not None
                assert waiting.status_code == 503
                assert "start" in waiting.json()["waits_for"]
    finally:
        for process in processes.values():
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
        codes = {name: await process.wait() for name, process in processes.items()}
    assert set(codes.values()) == {0}, codes


@pytest.mark.parametrize("service", SCHEMAS)
async def test_no_service_reaches_another_s_schema_but_to_read_what_it_shows(gateway: Gateway, service: str) -> None:
    connection = await asyncpg.connect(gateway.stack.postgres.url(service))
    try:
        tables = {"console": "control.accounts", "key-vault": "vault.credentials", "metering": "ledger.entries"}
        for owner, table in tables.items():
            if owner == service:
                await connection.fetch(f"select * from {table} limit 1")
                continue
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"select * from {table} limit 1")
        if service in READERS:
            await connection.fetch(f"select * from {SHOWN[READERS[service]]}.usage limit 1")
            for change in ("delete from ledger.outbox", "insert into ledger_v1.balances values ('acct:x', 1, 1)"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(change)
    finally:
        await connection.close()
