"""The stack's folder: secrets stay private and the same, and errors name what is in the way."""

import shutil
import stat
import subprocess
from collections import namedtuple
from pathlib import Path

import pytest

from deploy.local.errors import StackError
from deploy.local.home import Home


def test_secrets_are_private_and_stay(tmp_path: Path) -> None:
    home = Home(tmp_path / "h")
    home.prepare()
    first = home.secret("a")
    assert home.secret("a") == first != home.secret("b")
    assert stat.S_IMODE((tmp_path / "h" / "secrets.json").stat().st_mode) == 0o600


def test_a_full_disk_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(1, 1, 5 * 2**20))
    with pytest.raises(StackError, match="5 MiB left"):
        Home(tmp_path / "h").prepare()


def test_an_old_state_is_no_running_stack(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert home.running() is None
    (tmp_path / "state.json").write_text("{")
    assert home.running() is None


def test_a_service_is_debugged_as_long_as_the_debugging_process_lives(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert not home.debugged("relay")
    home.debug("relay")
    assert home.debugged("relay")
    assert not home.debugged("router")
    ended = subprocess.Popen(["true"])
    ended.wait()
    for content in (str(ended.pid), "nonsense"):
        (tmp_path / "relay.debugged").write_text(content)
        assert not home.debugged("relay")
        assert not list(tmp_path.iterdir()), "an old mark stays, and its process ID may be another's"
    home.debug("relay")
    home.forget()
    assert not home.debugged("relay")
