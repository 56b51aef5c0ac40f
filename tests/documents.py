"""Tables of documents that tests write: what stands between two marks is what was seen."""

from pathlib import Path

import pytest


def agrees(document: Path, name: str, table: str, config: pytest.Config) -> None:
    """Compares a table with the document's; with ``--write-tables``, writes it there."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
    before, _, rest = document.read_text().partition(begin)
    there, _, after = rest.partition(end)
    if config.getoption("--write-tables"):
        document.write_text(before + begin + table + end + after)
    else:
        assert there == table, "./sluice test tests/e2e/test_matrix.py tests/unit/test_round_trips.py --write-tables"
