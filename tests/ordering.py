"""In which order files are run: a long one at the end leaves a worker idle, and a stack that nobody uses takes a tenth
of a core.

First files with stacks of their own, the longest before the others; then those that share a stack; and then the quick
ones, which need none.
"""

from collections.abc import Iterable, Sequence

import pytest

OWN_STACKS = (
    "test_matrix",
    "test_kills",
    "test_cli",
    "test_spending",
    "test_limits_under_fire",
    "test_routing",
    "test_lost_relays",
    "test_access",
    "test_local_server",
    "test_control_plane",
    "test_canary",
    "test_chaos",
    "test_alert_mails",
    "test_control_plane_faults",
)
LONG = ("test_pages", "test_sample", "test_stories", "test_deployment", "test_secrets_in_reach", "test_readme")
"""Of those that share a stack."""
SHARED = frozenset({"gateway", "bus"})
"""Fixtures of what is started once, by whoever needs it first."""


def ordered(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The same tests; those of one file stay side by side."""
    sharing = {_file(item) for item in items if shares([item])}
    return sorted(items, key=lambda item: _rank(_file(item), sharing))


def shares(items: Iterable[pytest.Item]) -> bool:
    """One of them needs what is shared."""
    return any(not SHARED.isdisjoint(getattr(item, "fixturenames", ())) for item in items)


def _rank(file: str, sharing: set[str]) -> tuple[int, int]:
    name = file.rpartition("/")[2].removesuffix(".py")
    for rank, names in enumerate((OWN_STACKS, LONG)):
        if name in names:
            return rank, names.index(name)
    return (2, 0) if file in sharing else (3, 0)


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]
