"""The table of commands: it leads to every one, says what they say, and imports none of them."""

import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from deploy.local.home import ROOT
from services.cli.__main__ import application
from services.cli.commands import COMMANDS, Command

HEAVY = {"aiokafka", "httpx", "fastapi", "asyncpg", "cryptography", "faststream", "structlog"}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_the_table_says_what_the_command_says(command: Command) -> None:
    loaded = command.load()
    written = loaded.info.help if isinstance(loaded, typer.Typer) else (loaded.__doc__ or "").strip().split("\n\n")[0]
    assert " ".join(str(written).split()) == command.help
    assert CliRunner().invoke(application(command.name), [command.name, "--help"]).exit_code == 0


def test_help_names_the_command_as_it_is_called() -> None:
    done = subprocess.run([sys.executable, "-m", "services.cli", "key", "create"], capture_output=True, text=True)
    assert "Usage: ./sluice key create" in done.stderr
    assert "services.cli" not in done.stderr


@pytest.mark.parametrize(
    ("words", "known"),
    [
        (["bench", "--help"], ("``turns``", "--against")),
        (["bench", "growth", "--help"], ("sluice bench growth", "--by")),
    ],
    ids=["all", "one"],
)
def test_a_bench_says_what_its_options_are(words: list[str], known: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, "-m", "services.cli", *words], capture_output=True, text=True, check=True)
    assert all(one in done.stdout for one in known)


def test_help_and_a_slip_know_all_commands() -> None:
    listed = CliRunner().invoke(application(None), ["--help"], env={"COLUMNS": "200"}).output
    assert all(command.name in listed for command in COMMANDS)
    slip = CliRunner().invoke(application("statsu"), ["statsu"])
    assert (slip.exit_code, "status" in slip.output) == (2, True)


@pytest.mark.parametrize("arguments", [["--help"], ["status"], ["balance", "--help"]], ids=" ".join)
def test_a_command_imports_little(arguments: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    script = "import runpy, sys\ntry:\n    runpy.run_module('services.cli', run_name='__main__')\nfinally:\n"
    script += "    print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    environment = {"PYTHONPATH": str(ROOT), "SLUICE_HOME": str(tmp_path_factory.mktemp("home"))}
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, env=environment)
    imported = set(done.stderr.splitlines()[-1].split())
    assert "typer" in imported
    assert not imported & HEAVY
