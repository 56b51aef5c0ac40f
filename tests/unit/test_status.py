"""What ``./sluice status`` shows of a stack."""

import json

import orjson
import pytest

from deploy.local.home import ServiceState, StackState
from services.cli import status


@pytest.fixture(autouse=True)
def stack(monkeypatch: pytest.MonkeyPatch) -> None:
    services = {name: ServiceState(pid=1, health_port=number) for number, name in enumerate(("relay", "router"), 1)}
    state = StackState(1, "http://base", "http://console", "embedded", "kafka", 4, "postgres", services)
    answers = {
        "relay": orjson.dumps({"ready": True, "lag": 3, "problems": {"group relay": "its handler fails"}}),
        "router": orjson.dumps({"ready": False, "lag": 0, "waits_for": ["broker"]}),
    }
    monkeypatch.setattr(status, "running", lambda: (None, state))
    monkeypatch.setattr(status, "pages", lambda *_: answers)


def test_people_see_what_a_service_waits_for_and_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        status.status()
    heading, relay, router = capsys.readouterr().out.splitlines()[-3:]
    assert heading.split() == ["service", "pid", "ready", "lag", "waits", "for", "problems"]
    assert relay.split() == ["relay", "1", "yes", "3", "group", "relay:", "its", "handler", "fails"]
    assert router.split() == ["router", "1", "no", "0", "broker"]


def test_scripts_see_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        status.status(json=True)
    services = json.loads(capsys.readouterr().out)["services"]
    assert services["relay"]["problems"] == {"group relay": "its handler fails"}
    assert services["router"] == {"pid": 1, "ready": False, "lag": 0, "waits_for": ["broker"], "problems": {}}
