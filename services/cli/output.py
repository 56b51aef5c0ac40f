"""What commands print (results on stdout, everything else on stderr), and the one thing that they ask for."""

import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, NoReturn

import orjson
import typer
from rich.console import Console
from rich.table import Table

MOST_SECRET = 64 * 1024
"""Characters of stdin that are read for a secret."""
_PIPE_COLUMNS = 10_000
_BETWEEN = 2
"""Blanks from column to column."""
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]

# A pipe has no width; tables are not cut for it.
out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else _PIPE_COLUMNS)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def report(text: str) -> None:
    """Progress."""
    err.print(text, style="dim", markup=False)


def fail(text: str) -> NoReturn:
    """Ends the command with exit code 1."""
    err.print(f"sluice: {text}", style="red", markup=False)
    sys.exit(1)


def as_json(content: Any) -> None:
    """One JSON value on stdout."""
    sys.stdout.write(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode() + "\n")


def as_table(rows: list[dict[str, Any]], empty: str) -> None:
    """Rows of equal keys, for people. A narrow terminal leaves the first column whole: commands take its IDs."""
    if not rows:
        out.print(empty, markup=False)
        return
    table = Table(box=None, pad_edge=False)
    cells = [[in_words(name, value) for name, value in row.items()] for row in rows]
    first, *others = [max(map(len, column)) for column in zip(map(heading, rows[0]), *cells, strict=True)]
    left = out.width - first - _BETWEEN * len(others)
    for name, width in zip(rows[0], (first, *_fitted(others, left)), strict=True):
        table.add_column(heading(name), no_wrap=True, min_width=width, max_width=width)
    for row in cells:
        table.add_row(*row)
    out.print(table)


def _fitted(widths: list[int], most: int) -> list[int]:
    """Widths that are ``most`` together, if they can be; the largest give way first."""
    fitted = list(widths)
    while sum(fitted) > most and max(fitted) > 1:
        fitted[fitted.index(max(fitted))] -= 1
    return fitted


def in_words(name: str, value: Any) -> str:
    """A field of an answer, for people: times in UTC; lists and mappings without brackets, unless one is in another."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and name.endswith("_at_ms"):
        return datetime.fromtimestamp(value / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, list | dict) and any(isinstance(one, list | dict) for one in _parts(value)):
        return orjson.dumps(value).decode()
    if isinstance(value, list):
        return ", ".join(in_words("", one) for one in value)
    if isinstance(value, dict):
        return ", ".join(f"{key}: {in_words(str(key), one)}" for key, one in value.items())
    return str(value)


def _parts(value: list[Any] | dict[str, Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def heading(name: str) -> str:
    """The name of a field, for people."""
    return name.removesuffix("_ms").replace("_", " ") if name.endswith("_at_ms") else name.replace("_", " ")


def read_secret(what: str) -> str:
    """From the terminal without an echo, or all of stdin: a key may be a JSON file."""
    given: str = typer.prompt(what, hide_input=True) if sys.stdin.isatty() else sys.stdin.read(MOST_SECRET)
    return given.strip()
