"""``topics``: what the cluster has, what the contracts want, and the difference."""

import time
from dataclasses import asdict
from typing import Annotated

import typer

from libs.bus.topic_plan import Change, Kind
from libs.bus.topics import apply_topics, plan_topics
from services.cli.brokers import asked, brokers
from services.cli.output import Json, as_json, fail, out, report

topics = typer.Typer(no_args_is_help=True, help="The topics of the cluster, as the contracts want them.")
APPLIED_WITHIN_S = 15.0
_SIGNS = {Kind.CREATE: "+", Kind.SET: "~", Kind.IMPOSSIBLE: "!"}


@topics.command("plan")
def topics_plan(json: Json = False) -> None:
    """Show what `apply` would change: partitions, replication, retention, compaction, sizes. Exit 1 where it cannot."""
    changes = asked(plan_topics(brokers()))
    if json:
        as_json([asdict(change) for change in changes])
    else:
        _show(changes)
    if any(change.kind is Kind.IMPOSSIBLE for change in changes):
        raise typer.Exit(1)


@topics.command("apply")
def topics_apply(yes: Annotated[bool, typer.Option("--yes", help="Without a question.")] = False) -> None:
    """Create what is missing and set what differs. Nothing is deleted, and no partition is added."""
    bus = brokers()
    changes = asked(plan_topics(bus))
    _show(changes)
    if any(change.kind is Kind.IMPOSSIBLE for change in changes):
        fail("what is marked with ! cannot be changed on a topic that has records; nothing was changed")
    if not changes or not (yes or typer.confirm("apply this?")):
        return
    asked(apply_topics(bus, changes))
    # The controller has it before all brokers do.
    deadline_s = time.monotonic() + APPLIED_WITHIN_S
    while left := asked(plan_topics(bus)):
        if time.monotonic() > deadline_s:
            _show(left)
            fail("the cluster did not take all of it")
        time.sleep(0.2)
    report("applied")


def _show(changes: list[Change]) -> None:
    if not changes:
        report("the topics are as they should be")
    topic = ""
    for change in changes:
        if change.topic != topic:
            topic = change.topic
            out.print(f"{_SIGNS[change.kind]} {topic}", markup=False)
        was = f"{change.found} -> " if change.kind is not Kind.CREATE else ""
        out.print(f"    {_SIGNS[change.kind]} {change.what}: {was}{change.wanted}", markup=False)
