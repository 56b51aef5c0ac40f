"""Tables of documents that tests write: what stands between two marks is what was seen."""

from pathlib import Path

import pytest


def agrees(document: Path, name: str, table: str, config: pytest.Config) -> None:
    """Compares a table with the document's; with ``--write-tables``, writes it there."""
    if config.getoption("--write-tables"):
        put(document, name, table)
    else:
        there = document.read_text().partition(_begin(name))[2].partition(_end(name))[0]
        assert there == table, "./sluice test tests/e2e/test_matrix.py tests/unit/test_round_trips.py --write-tables"


def put(document: Path, name: str, table: str) -> None:
    """Writes a table between its marks."""
    before, begin, rest = document.read_text().partition(_begin(name))
    _, end, after = rest.partition(_end(name))
    document.write_text(before + begin + table + end + after)


def _begin(name: str) -> str:
    return f"<!-- {name}: begin -->\n"


def _end(name: str) -> str:
    return f"<!-- {name}: end -->\n"
