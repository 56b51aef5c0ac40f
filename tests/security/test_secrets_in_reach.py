"""Each process has its own secrets, and nobody else's."""

import json
import re
from pathlib import Path

import psutil
import pytest

from deploy.local.postgres import SCHEMAS
from deploy.local.stack import SERVICES
from tests.e2e.plane import LET_IN, Plane
from tests.stacks import Gateway

OWNERS = {
    "operator-token": {"console"},
    "key-encryption-key-console": {"console"},
    "key-encryption-key-key-vault": {"key-vault"},
    "record-key-console": {"console"},
    "record-key-key-vault": {"key-vault"},
    "record-key-relay": {"relay"},
    "stub-key": {"key-vault", "stub"},
}


def _shown(pid: int) -> str:
    """What the system shows of a process: its environment and its arguments."""
    process = psutil.Process(pid)
    return str(process.environ()) + str(process.cmdline())


async def test_a_secret_is_in_its_owner_s_environment_alone(gateway: Gateway) -> None:
    environments = {name: _shown(child.pid) for name, child in gateway.stack.children.items()}
    for name, urlsafe in json.loads(gateway.stack.secrets_file.read_text()).items():
        forms = (urlsafe, urlsafe.translate(str.maketrans("-_", "+/")))
        holders = {process for process, text in environments.items() if any(form in text for form in forms)}
        of_any_version = re.sub(r"-v\d+$", "", name)
        assert holders == (OWNERS.get(of_any_version) or {name.removeprefix("database-")} & {*SCHEMAS}), name


async def test_no_service_leaves_a_core_whatever_is_done_with_cores(gateway: Gateway) -> None:
    for service in SERVICES:
        process = psutil.Process(gateway.stack.children[service].pid)
        assert process.rlimit(psutil.RLIMIT_CORE) == (1, 1), service


async def test_logs_are_for_their_owner_alone(gateway: Gateway) -> None:
    folder = gateway.stack.logs
    assert folder.stat().st_mode & 0o077 == 0
    assert all(file.stat().st_mode & 0o077 == 0 for file in Path(folder).glob("*.log"))


@pytest.mark.parametrize("service", ["console", "relay"])
async def test_a_record_key_is_replaced_and_nobody_is_refused_meanwhile(gateway: Gateway, service: str) -> None:
    plane = Plane(gateway, 1)
    person = await plane.person()
    before = gateway.stack.signer(service).public_key
    await gateway.stack.replace_record_key(service)
    assert gateway.stack.signer(service).public_key != before
    assert await plane.knock(plane.doors[0], person.key) == LET_IN
    assert (await plane.ask(gateway.key)).status_code == 200
    newcomer = await plane.person()
    await plane.becomes(LET_IN, newcomer.key)
