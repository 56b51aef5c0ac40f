"""What every command that calls a console has: its options, and its three forms of an answer."""

import json
from typing import Any

import pytest
import typer
from rich.console import Console as Terminal
from typer.testing import CliRunner

from services.cli import output
from services.cli.api import Api, OwnerAccount, OwnerOrganization, owner_path, with_api
from services.cli.client import ManagementClient


class Console:
    """Answers every call with what it was asked."""

    def __init__(self, url: str | None, key: str | None) -> None:
        self._from = {"url": url, "key": key}

    def call(self, method: str, path: str, body: object, headers: object) -> Any:
        answer = {"call": f"{method} {path}", "body": body, **self._from}
        return [answer] if path.endswith("/list") else answer


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    monkeypatch.setattr(ManagementClient, "of", Console)
    made = typer.Typer()

    @made.command()
    @with_api
    def show(api: Api, name: str, account_id: OwnerAccount = None, organization_id: OwnerOrganization = None) -> None:
        """Shows it."""
        api.show("PUT", f"{owner_path(account_id, organization_id)}/{name}", {"name": name})

    return made


def test_a_command_gains_the_options_and_keeps_its_own(app: typer.Typer) -> None:
    run = CliRunner().invoke
    shown = run(app, ["thing", "--account", "a", "--json", "--url", "http://console", "--key", "k"])
    assert json.loads(shown.output) == {
        "call": "PUT /api/accounts/a/thing",
        "body": {"name": "thing"},
        "url": "http://console",
        "key": "k",
    }
    from_environment = run(app, ["thing", "--org", "o", "--json"], env={"SLUICE_KEY": "k2"})
    assert (json.loads(from_environment.output)["url"], json.loads(from_environment.output)["key"]) == (None, "k2")
    described = run(app, ["--help"], env={"COLUMNS": "200"}).output
    assert "Shows it." in described
    assert all(option in described for option in ("--json", "--url", "--key", "--account", "--org"))


@pytest.mark.usefixtures("app")
def test_people_read_fields_and_tables(capsys: pytest.CaptureFixture[str]) -> None:
    Api(False, None, None).show("GET", "/thing")
    assert "call         GET /thing" in capsys.readouterr().out
    Api(False, None, None).show("GET", "/list")
    assert "GET /list" in capsys.readouterr().out
    row = {"scopes": ["a", "b"], "made_at_ms": 1_795_815_793_484, "revoked": False, "policy": {"deny": "x"}}
    Api(False, None, None).print([row])
    Api(False, None, None).print({"key": None, **row})
    shown = capsys.readouterr().out
    assert shown.count("a, b") == shown.count("2026-11-27T21:43:13.484Z") == shown.count("deny: x") == 2
    Api(False, None, None).print([{"id": "control.signing-keys.v1/0/123456", "reason": "x" * 300}])
    assert f"control.signing-keys.v1/0/123456  {'x' * 300}" in capsys.readouterr().out
    Api(False, None, None).print({"policy": {"allow": ["x", "y"], "deny": ["z"]}})
    assert 'policy       {"allow":["x","y"],"deny":["z"]}' in capsys.readouterr().out
    assert not [word for word in ("None", "False", "[", "{", " ms", "1795") if word in shown]


def test_a_table_of_counts_by_status_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    output.as_table([{"statuses": {200: 9, 429: 1}}], "")
    assert "200: 9, 429: 1" in capsys.readouterr().out


def test_a_narrow_terminal_cuts_no_id(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(output, "out", Terminal(width=80, soft_wrap=True))
    row = {"id": "control.signing-keys.v1/0/123456", "readers": "ingress, console, key-vault", "reason": "x" * 300}
    output.as_table([row], "")
    shown = capsys.readouterr().out.splitlines()[1]
    assert shown.startswith("control.signing-keys.v1/0/123456  ingress, console")
    assert "…" in shown and len(shown) <= 80
