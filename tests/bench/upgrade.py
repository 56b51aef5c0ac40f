"""``./sluice bench upgrade --from COMMIT``: a running Sluice of that commit becomes this one, and back, under load.

Two processes of each service on one log and one database: first the one, then the other is replaced. Between the steps
both versions share the work. Then the first ones go back. No request may fail, no stream may break; log and ledger are
audited, and compared with what each client saw.
"""

import json
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contracts.topics import TOPICS
from deploy.local.home import ROOT
from deploy.local.trees import THIS_TREE, Tree
from libs.bus.letters import Letters
from libs.database.revisions import current_revision, newest_revision
from services.cli.output import as_table, out, report
from tests.bench.contenders import checkout, python_of
from tests.bench.stacks import finish
from tests.documents import put
from tests.faults.books import check_books
from tests.faults.load import Load
from tests.faults.open_streams import DONE, OpenStreams
from tests.stacks import Gateway, running_stack

ORDER = ("metering", "relay", "router", "rate-limit", "policy", "key-vault", "ingress", "console")
"""Who reads a record comes before who writes it: docs/upgrade.md."""
PAIRS = frozenset(ORDER) - {"console", "metering"}
SCHEMAS = {"metering": "ledger", "key-vault": "vault", "console": "control"}
ANSWERS = 40
"""In each phase, at the least."""
STREAMS = 3
WORDS = 150
STREAM = f"[[stub chunks={WORDS} gap_ms=100]]"
"""Longer than any step, shorter than an ingress or a relay drains."""
DOCUMENT = "docs/upgrade.md"
MARK = "measured"


@dataclass
class Phase:
    """What clients saw while a part of the fleet was replaced."""

    name: str
    seconds: float = 0.0
    answers: int = 0
    streams: int = 0


@dataclass
class Upgrade:
    """A run."""

    old: str
    new: str
    revisions: str = ""
    phases: list[Phase] = field(default_factory=list)
    refusals: dict[str, int] = field(default_factory=dict)
    broken: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    letters: int = 0

    def rows(self) -> list[dict[str, Any]]:
        """A table."""
        return [
            {
                "phase": one.name,
                "seconds": round(one.seconds, 1),
                "whole answers": one.answers,
                "streams over it": one.streams,
            }
            for one in self.phases
        ]


async def main(options: Namespace) -> None:
    """Runs and prints."""
    root = checkout(options.commit)
    old = Tree(root, python_of(root))
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        Path(folder).chmod(0o755)
        found = await upgrade(Path(folder), old, options.kafka)
    if options.json:
        sys.stdout.write(json.dumps(found, default=vars, indent=1) + "\n")
    else:
        as_table(found.rows(), "")
        out.print(f"\n{_summary(found)}", markup=False)
    if options.write:
        put(ROOT / DOCUMENT, MARK, _markdown(found))


async def upgrade(folder: Path, old: Tree, kafka: str) -> Upgrade:
    """Forward and back.

    Raises:
        AssertionError: a request failed, a stream broke, or the books are wrong.
    """
    found = Upgrade(old.root.name, _revision())
    instances = dict.fromkeys(PAIRS, 2)
    config = old.root / "tests" / "stack.yaml"
    async with running_stack(folder / "stack", kafka, config=config, tree=old, instances=instances) as gateway:
        before = await _revisions(gateway)
        async with Load(gateway, clients=4, leaving=1) as load:
            async with _phase(found, gateway, load, "the old version"):
                pass
            async with _phase(found, gateway, load, "one of each service is replaced, readers first"):
                await _move(gateway, THIS_TREE, ORDER, 1)
            async with _phase(found, gateway, load, "both versions side by side"):
                pass
            async with _phase(found, gateway, load, "the other of each is replaced"):
                await _move(gateway, THIS_TREE, [name for name in ORDER if name in PAIRS], 2)
            after = await _revisions(gateway)
            back = [name for name in reversed(ORDER) if _opens(old, name, after)]
            async with _phase(found, gateway, load, f"back to the old version: one of {', '.join(back)}"):
                await _move(gateway, old, back, 1)
        found.refusals, found.broken = dict(load.refusals), load.broken
        found.outcomes = await check_books(gateway, load.completed)
        async with Letters(gateway.stack.bus) as letters:
            found.letters = len(await letters.find(TOPICS))
    found.revisions = ", ".join(
        f"{name} {before[name]} to {after[name]}" for name in after if after[name] != before[name]
    )
    assert not found.refusals, found.refusals
    assert not found.broken, f"{found.broken} connections or streams broke"
    assert not found.letters, f"{found.letters} records became dead letters"
    return found


@asynccontextmanager
async def _phase(found: Upgrade, gateway: Gateway, load: Load, name: str) -> AsyncIterator[None]:
    """Long streams begin before it and end after it; whole answers come all the time."""
    report(name)
    began, before = time.monotonic(), len(load.completed)
    async with OpenStreams(gateway, STREAMS, STREAM) as streams:
        yield
        await load.more(ANSWERS, within_s=180)
    for stream in streams.all:
        seen = (stream.content.endswith(DONE), stream.words, stream.resumed)
        assert seen == (True, WORDS, 0), f"{name}: {seen}"
    found.phases.append(Phase(name, time.monotonic() - began, len(load.completed) - before, STREAMS))


async def _move(gateway: Gateway, tree: Tree, services: Any, number: int) -> None:
    for service in services:
        await gateway.stack.change_version(tree, service, number)
        report(f"  {service} {number} is of {tree.root.name}")


def _opens(tree: Tree, service: str, revisions: dict[str, str]) -> bool:
    """Whether a version starts on a schema as it is now. Those before 0.1.0 refuse a revision that they do not know."""
    if service not in SCHEMAS:
        return True
    own = newest_revision(tree.root / "services" / service.replace("-", "_") / "migrations")
    return own >= revisions[SCHEMAS[service]] or ">= newest" in (tree.root / "libs/database/pool.py").read_text()


async def _revisions(gateway: Gateway) -> dict[str, str]:
    url = gateway.stack.postgres.admin_url()
    return {schema: await current_revision(url, schema) or "none" for schema in SCHEMAS.values()}


def _revision() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout.strip()


def _summary(found: Upgrade) -> str:
    answers = sum(one.answers for one in found.phases)
    streams = sum(one.streams for one in found.phases)
    ends = ", ".join(f"{count} {outcome}" for outcome, count in sorted(found.outcomes.items()))
    return (
        f"From {found.old} to {found.new}: {answers} whole answers and {streams} streams of {WORDS * 0.1:.0f} s, "
        f"0 failed, 0 broken, 0 dead letters; migrations: {found.revisions or 'none'}. The audit holds: {ends}."
    )


def _markdown(found: Upgrade) -> str:
    rows = ["| phase | s | whole answers | streams over it |", "|---|---|---|---|"]
    rows += [f"| {one.name} | {one.seconds:.0f} | {one.answers} | {one.streams} |" for one in found.phases]
    return "\n".join([_summary(found), "", *rows, ""])


if __name__ == "__main__":
    parser = ArgumentParser(prog="sluice bench upgrade", description=__doc__)
    parser.add_argument("--from", dest="commit", required=True, metavar="COMMIT", help="a commit of Sluice")
    parser.add_argument("--kafka", default="embedded", help="embedded or HOST:PORT")
    parser.add_argument("--json", action="store_true", help="one JSON value on stdout")
    parser.add_argument("--write", action="store_true", help=f"write the figures into {DOCUMENT}")
    finish(main(parser.parse_args()))
