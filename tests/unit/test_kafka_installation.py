"""Kafka's jars: exactly those of the lock, or an error that says what else to do."""

import hashlib
import stat
import sys
from pathlib import Path

import pytest

from deploy.local.errors import StackError
from deploy.local.kafka import installation


@pytest.fixture
def resolver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in the place of Python with jgo: it leaves what the folder ``given`` holds where jgo leaves jars."""
    given = tmp_path / "given"
    given.mkdir()
    program = tmp_path / "python"
    program.write_text(
        f"#!/bin/sh\nmkdir -p $JGO_CACHE_DIR/jars\ncp {given}/*.jar $JGO_CACHE_DIR/jars || exit 1\necho resolved $@\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(program))
    return given


def _lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **jars: bytes) -> None:
    lock = tmp_path / "jars.lock"
    lines = [f"{hashlib.sha256(content).hexdigest()} {name}.jar\n" for name, content in jars.items()]
    lock.write_text("".join(lines))
    monkeypatch.setattr(installation, "LOCK", lock)


def _give(folder: Path, **jars: bytes) -> None:
    for name, content in jars.items():
        (folder / f"{name}.jar").write_bytes(content)


def _install(tmp_path: Path) -> installation.Installation:
    return installation.install(tmp_path / "store", lambda _text: None)


def test_what_the_lock_names_is_installed_once(tmp_path: Path, resolver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _lock(tmp_path, monkeypatch, a=b"one", b=b"two")
    _give(resolver, a=b"one", b=b"two")
    installed = _install(tmp_path)
    assert [jar.name for jar in installed.jars] == ["a.jar", "b.jar"]
    for jar in resolver.iterdir():
        jar.unlink()
    assert _install(tmp_path) == installed, "it was downloaded again"
    assert [entry.name for entry in (tmp_path / "store").iterdir()] == [installed.folder.name]


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"a": b"one", "b": b"other"}, r"b\.jar has not the SHA-256"),
        ({"a": b"one"}, r"other jars than jars\.lock names: b\.jar"),
        ({"a": b"one", "b": b"two", "c": b"three"}, r"other jars than jars\.lock names: c\.jar"),
        ({}, "SLUICE_MAVEN_REPOSITORY=URL.*--kafka HOST:PORT"),
    ],
)
def test_anything_else_is_refused_and_leaves_nothing(
    tmp_path: Path, resolver: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, bytes], what: str
) -> None:
    _lock(tmp_path, monkeypatch, a=b"one", b=b"two")
    _give(resolver, **given)
    with pytest.raises(StackError, match=what):
        _install(tmp_path)
    assert list((tmp_path / "store").iterdir()) == []


def test_another_lock_is_another_folder(tmp_path: Path, resolver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The start-up cache lies beside the jars: it must not be used with others."""
    _lock(tmp_path, monkeypatch, a=b"one")
    _give(resolver, a=b"one")
    first = _install(tmp_path)
    _lock(tmp_path, monkeypatch, a=b"newer")
    _give(resolver, a=b"newer")
    assert _install(tmp_path).cache != first.cache
