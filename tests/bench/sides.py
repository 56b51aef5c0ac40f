"""Two that run at the same time and are loaded in turn, for a few seconds each: what the machine does meanwhile meets
both. Their ratios, round by round, tell changes of a few percent from the machine's moods; the record cannot."""

import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import orjson

from deploy.local.errors import StackError
from services.cli.output import as_table, out, report
from tests.bench.contenders import Drive

FIGURES = {
    "per_s": ("requests/s", 1),
    "p50_ms": ("p50 ms", 2),
    "first_byte_ms": ("first byte p50 ms", 2),
    "cpu_us": ("CPU µs a request", 0),
}
"""What a round gives: its name in tables, and how many digits of it say something."""


@dataclass(slots=True)
class Side:
    """One of both, and what its rounds took."""

    name: str
    drive: Drive
    cpu_s: Callable[[], float]
    """Of all of its processes so far."""
    found: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in FIGURES})
    errors: int = 0

    async def round(self, **load: Any) -> None:
        """One round of load."""
        before = self.cpu_s()
        result = await self.drive(**load)
        if not result.samples:
            raise StackError(f"{self.name} answered no request in a round: make it longer")
        took = {
            "per_s": result.rate,
            "p50_ms": result.total_ms(50),
            "first_byte_ms": result.first_byte_ms(50),
            "cpu_us": (self.cpu_s() - before) / len(result.samples) * 1e6,
        }
        for name, value in took.items():
            self.found[name].append(value)
        self.errors += result.errors

    def row(self) -> dict[str, Any]:
        """For a table."""
        medians = {
            title: round(statistics.median(self.found[name]), places) for name, (title, places) in FIGURES.items()
        }
        return {"": self.name, **medians, "errors": self.errors}


async def in_turns(first: Side, second: Side, *, rounds: int, **load: Any) -> None:
    """So many rounds of load on each; nobody always goes first."""
    for number in range(rounds):
        report(f"round {number + 1} of {rounds}")
        for side in (first, second) if number % 2 else (second, first):
            await side.round(**load)


def show(first: Side, second: Side, *, as_json: bool) -> None:
    """Prints both, and the second divided by the first."""
    ratios = {name: _ratio(first.found[name], second.found[name]) for name in FIGURES}
    if as_json:
        whole = {"rows": [first.row(), second.row()], "ratios": ratios}
        sys.stdout.write(orjson.dumps(whole, option=orjson.OPT_INDENT_2).decode() + "\n")
        return
    as_table([first.row(), second.row()], "")
    out.print(f"\n{second.name}, divided by {first.name}, round by round; within two standard errors:")
    for name, (title, _) in FIGURES.items():
        found = ratios[name]
        noise = f"{found['noise least']:.2f} to {found['noise most']:.2f}"
        out.print(f"{title}: {found['ratio']:.3f} ± {found['within']:.3f} (the first, from round to round: {noise})")


def _ratio(first: list[float], second: list[float]) -> dict[str, float]:
    """With what a difference of nothing looks like: the first against itself, one round later."""
    ratios = [b / a for a, b in zip(first, second, strict=True)]
    noise = [b / a for a, b in pairwise(first)] or [1.0]
    return {
        "ratio": statistics.median(ratios),
        "within": 2 * statistics.stdev(ratios) / len(ratios) ** 0.5 if len(ratios) > 1 else 0.0,
        "noise least": min(noise),
        "noise most": max(noise),
    }
