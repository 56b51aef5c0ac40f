"""docs/security.md and docs/reliability.md name tests: each of them is there."""

import re

from deploy.local.home import ROOT

_IN = re.compile(r"`(test_[a-z0-9_]+)` \(([a-z0-9_/]+\.py)\)")
_NAMED = re.compile(r"`(tests/[a-z0-9_/]+\.py)::(test_[a-z0-9_]+)`")


def test_every_test_that_the_page_names_is_there() -> None:
    named = _NAMED.findall((ROOT / "docs" / "security.md").read_text())
    assert len(named) > 20
    assert not [f"{file}::{name}" for file, name in named if f"def {name}(" not in (ROOT / file).read_text()]


def test_every_test_that_shows_a_repair_is_there() -> None:
    named = _IN.findall((ROOT / "docs" / "reliability.md").read_text())
    assert len(named) > 30
    assert not [f"{file}::{name}" for name, file in named if f"def {name}(" not in (ROOT / "tests" / file).read_text()]
