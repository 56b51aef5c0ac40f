"""docs/security.md names tests: each of them is there."""

import re

from deploy.local.home import ROOT

_NAMED = re.compile(r"`(tests/[a-z0-9_/]+\.py)::(test_[a-z0-9_]+)`")


def test_every_test_that_the_page_names_is_there() -> None:
    named = _NAMED.findall((ROOT / "docs" / "security.md").read_text())
    assert len(named) > 20
    assert not [f"{file}::{name}" for file, name in named if f"def {name}(" not in (ROOT / file).read_text()]
