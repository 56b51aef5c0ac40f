"""Two versions may stand side by side on one database: revisions add, and what they add is not asked of the old one."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from deploy.local.home import ROOT

SCHEMAS = sorted((ROOT / "services").glob("*/migrations"))
CONTRACTS = {
    "drops": r"\bdrop (table|column|constraint)\b",
    "renames": r"\brename\b",
    "changes a type": r"\balter (column )?\w+ (set data )?type\b",
    "forbids nulls": r"\bset not null\b",
    "wants a value of writers who know no such column": r"\badd column [^;,]*\bnot null\b(?![^;,]*\bdefault\b)",
}
"""What takes something from the version before. It may come one release later, and is then listed below."""
AFTER_THEIR_RELEASE: frozenset[str] = frozenset()
"""Revisions that take away what no supported version uses any more."""


def breaks(statements: str) -> list[str]:
    """What a revision would do to the version before it."""
    text = " ".join(statements.lower().split())
    return [what for what, pattern in CONTRACTS.items() if re.search(pattern, text)]


@pytest.mark.parametrize("folder", SCHEMAS, ids=lambda folder: folder.parent.name)
def test_revisions_are_one_chain_and_only_add(folder: Path) -> None:
    files = sorted(folder.glob("[0-9]*.py"))
    assert [file.name[:4] for file in files] == [f"{number:04}" for number in range(1, len(files) + 1)]
    for before, file in pairwise(files):
        text = file.read_text()
        assert f'revision = "{file.name[:4]}"\ndown_revision = "{before.name[:4]}"\n' in text
        if f"{folder.parent.name}/{file.name[:4]}" not in AFTER_THEIR_RELEASE:
            assert not breaks(text), file


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("alter table ledger.usage drop column mode", 1),
        ("alter table ledger.usage rename column mode to kind", 1),
        ("alter table ledger.usage alter column mode type integer", 1),
        ("alter table ledger.usage add column kind text not null", 1),
        ("alter table ledger.usage add column kind text not null default ''", 0),
        ("alter table ledger.usage add column kind text", 0),
        ("create index if not exists x on ledger.usage (mode)", 0),
    ],
)
def test_what_takes_away_is_found(statement: str, found: int) -> None:
    assert len(breaks(statement)) == found
