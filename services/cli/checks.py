"""``test`` and ``bench``: what the developers' environment is for."""

import asyncio
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import typer

from deploy.local.home import ROOT
from services.cli.output import fail, report

_BENCHES = (
    "chaos",
    "cluster",
    "console",
    "dashboards",
    "decisions",
    "fairness",
    "features",
    "fuzz",
    "growth",
    "hops",
    "idle",
    "ledger",
    "limits",
    "matrix",
    "outage",
    "overload",
    "pages",
    "pictures",
    "profile",
    "quick",
    "streams",
    "takeover",
    "turns",
    "upgrade",
    "waiting",
)
_STATIC = (
    ("formatting", ("ruff", "format", "--check", "--quiet", ".")),
    ("lint", ("ruff", "check", "--quiet", ".")),
    ("types", ("mypy", "--no-error-summary")),
    ("import rules", ("lint-imports",)),
)


_SIDE_BY_SIDE = ("--dist", "loadfile", "--no-loadscope-reorder")
"""Tests of one file share their stack; `tests.ordering` says which come first."""
MOST_WORKERS = 4
"""Each has a broker, a database and all services."""


def test(context: typer.Context) -> None:
    """Run all checks; with arguments, pytest alone with these."""
    if context.args:
        sys.exit(_call(("pytest", *context.args)))
    report("checking " + ", ".join(what for what, _ in _STATIC))
    with ThreadPoolExecutor() as pool:
        broker = pool.submit(_prepare_broker)
        outcomes = list(pool.map(_captured, (command for _, command in _STATIC)))
    for (what, _), found in zip(_STATIC, outcomes, strict=True):
        if found.returncode != 0:
            sys.stdout.write(found.stdout)
            fail(f"{what}: see above")
    broker.result()
    workers = min(os.cpu_count() or 1, MOST_WORKERS)
    report(f"running the tests, {workers} files at a time")
    sys.exit(_call(("pytest", "-n", str(workers), *_SIDE_BY_SIDE)))


def bench(context: typer.Context) -> None:
    """Measure throughput, delays and CPU a request: side by side with the mock provider, a bare chain, a commit.

    Or: ``quick`` (this tree alone), ``chaos``, ``cluster``, ``console``, ``dashboards``,
    ``decisions``, ``fairness``, ``features``, ``fuzz``, ``growth``, ``hops``, ``idle``, ``ledger``, ``limits``,
    ``matrix``, ``outage``, ``overload``, ``pages``, ``pictures``, ``profile``, ``streams``, ``takeover``, ``turns``,
    ``upgrade``, ``waiting``.
    """
    first, *others = context.args or [""]
    module, arguments = (f"tests.bench.{first}", others) if first in _BENCHES else ("tests.bench.record", context.args)
    if first in {"--help", "-h"}:
        typer.echo(context.get_help())
    sys.exit(subprocess.call([sys.executable, "-m", module, *arguments], cwd=ROOT))  # noqa: S603


def _prepare_broker() -> None:
    """Downloads the broker, where nobody has yet, and makes the archive that it starts from."""
    # Half a second, which neither help nor a single test file has to wait for.
    from deploy.local.kafka.installation import install
    from deploy.local.kafka.startup_cache import ensure_startup_cache
    from deploy.local.stack import KAFKA_STORE

    asyncio.run(ensure_startup_cache(install(KAFKA_STORE, report), report))


def _captured(command: tuple[str, ...]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603
        _program(command), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


def _call(command: tuple[str, ...]) -> int:
    return subprocess.call(_program(command), cwd=ROOT)  # noqa: S603


def _program(command: tuple[str, ...]) -> list[str]:
    return [str(Path(sys.executable).with_name(command[0])), *command[1:]]
