"""``test`` and ``bench``: what the developers' environment is for."""

import subprocess
import sys
from pathlib import Path

import typer

from deploy.local.home import ROOT
from services.cli.output import fail, report

_BENCHES = ("console", "decisions", "fairness", "growth", "idle", "ledger", "outage", "overload", "takeover")
_STATIC = (
    ("formatting", ("ruff", "format", "--check", "--quiet", ".")),
    ("lint", ("ruff", "check", "--quiet", ".")),
    ("types", ("mypy", "--no-error-summary")),
    ("import rules", ("lint-imports",)),
)


def test(context: typer.Context) -> None:
    """Run all checks; with arguments, pytest alone with these."""
    if not context.args:
        for what, command in _STATIC:
            report(f"checking {what}")
            _run(command, f"{what}: see above")
    report("running the tests")
    sys.exit(_call(("pytest", *context.args)))


def bench(context: typer.Context) -> None:
    """Measure throughput and latency against the stub provider.

    Or: ``console``,
    ``decisions``, ``fairness``, ``growth``, ``idle``, ``ledger``, ``outage``, ``overload``, ``takeover``.
    """
    first = context.args[0] if context.args else ""
    module, arguments = (
        (f"tests.bench.{first}", context.args[1:]) if first in _BENCHES else ("tests.bench", context.args)
    )
    sys.exit(subprocess.call([sys.executable, "-m", module, *arguments], cwd=ROOT))  # noqa: S603


def _run(command: tuple[str, ...], failure: str) -> None:
    if _call(command) != 0:
        fail(failure)


def _call(command: tuple[str, ...]) -> int:
    program = Path(sys.executable).with_name(command[0])
    return subprocess.call([str(program), *command[1:]], cwd=ROOT)  # noqa: S603
