"""``audit``: proves the books."""

import os
import subprocess
import sys
from datetime import datetime
from json import loads as parse
from typing import Annotated

import typer

from deploy.local.errors import StackError
from deploy.local.home import ROOT, plain_environment
from deploy.local.postgres import EmbeddedPostgres
from libs.pricing.usd import usd
from services.cli.output import Json, err, out
from services.cli.running import running
from services.cli.times import moment

_DATABASE = ("SLUICE_DATABASE_URL", "SLUICE_DATABASE_URL_FILE")


def audit(
    since: Annotated[str | None, typer.Option(help="24h, or a time; without it, since the log begins.")] = None,
    wait: Annotated[int, typer.Option(help="Seconds to wait for what is in flight.")] = 0,
    json: Json = False,
) -> None:
    """Prove from log and ledger that every request ended once, was charged once, and is in its owner's balance.

    Of the Sluice of this folder, or of the one that SLUICE_KAFKA_BOOTSTRAP and SLUICE_DATABASE_URL (or
    SLUICE_DATABASE_URL_FILE) lead to.
    """
    command = [sys.executable, "-m", "services.audit", "--wait-s", str(wait)]
    if since:
        command += ["--since-ms", str(int(datetime.fromisoformat(moment(since)).timestamp() * 1000))]
    done = subprocess.run(command, cwd=ROOT, env=_environment(), stdout=subprocess.PIPE, check=False)  # noqa: S603
    if not done.stdout:
        sys.exit(1)
    report = parse(done.stdout)
    if json:
        sys.stdout.buffer.write(done.stdout)
    else:
        ended = ", ".join(f"{count} {outcome}" for outcome, count in report["outcomes"].items()) or "none ended"
        out.print(f"accepted   {report['accepted']} = {ended}, {report['in_flight']} in flight", markup=False)
        out.print(f"held       {usd(report['held_microdollars'])} USD for those in flight", markup=False)
        charged, reserved = usd(report["charged_microdollars"]), usd(report["reserved_microdollars"])
        out.print(f"charged    {charged} USD for these, of {reserved} that were held for them", markup=False)
        out.print(f"revenue    {usd(report['revenue_microdollars'])} USD in all the ledger", markup=False)
        if report["unreadable"]:
            out.print(f"{report['unreadable']} records of requests could not be read (dead letters)", markup=False)
        for overrun in report["overruns"]:
            err.print(f"known: {overrun}; announced on billing.credit.v1", markup=False)
        for difference in report["differences"]:
            err.print(difference, style="red", markup=False)
        out.print("the books are exact" if not report["differences"] else "the books differ", markup=False)
    sys.exit(done.returncode)


def _environment() -> dict[str, str]:
    if "SLUICE_KAFKA_BOOTSTRAP" in os.environ and any(name in os.environ for name in _DATABASE):
        return dict(os.environ)
    home, state = running()
    if state.postgres_port is None:
        raise StackError("the Sluice that runs here was started by an older version; start it anew")
    return plain_environment(
        SLUICE_KAFKA_BOOTSTRAP=state.kafka,
        SLUICE_KAFKA_PARTITIONS=state.kafka_partitions,
        SLUICE_DATABASE_URL=EmbeddedPostgres(home, state.postgres_port, lambda _text: None).url("metering"),
    )
