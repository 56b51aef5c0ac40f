"""Where a page of a list ends."""

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.console.core.cursors import Position, position

IDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=60)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)), IDS)
def test_a_cursor_leads_back_to_its_row(at: datetime, row_id: str) -> None:
    there = Position(at.replace(tzinfo=UTC), row_id)
    assert position(there.cursor()) == there


@given(st.text(max_size=80))
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        found = position(text)
        assert found.at.tzinfo
        assert found.id


@pytest.mark.parametrize("text", ["", "x", "====", "MjAyNi0xMS0yNg", "aGVsbG8gd29ybGQ"])
def test_these_are_none(text: str) -> None:
    with pytest.raises(ValueError):
        position(text)
