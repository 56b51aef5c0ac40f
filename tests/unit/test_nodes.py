"""How many values a JSON text holds is bounded before it is read."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from services.ingress.core import nodes
from services.ingress.core.errors import BadRequest

texts = st.text(alphabet='a,[{"\\é ', max_size=12)
values = st.recursive(
    st.none() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


def _count(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(_count, inner))


def _passes(raw: bytes, most: int) -> bool:
    try:
        for _ in nodes.check_nodes(raw, most):
            pass
    except BadRequest:
        return False
    return True


@given(value=values, slice_=st.integers(1, 30))
def test_no_text_holds_more_values_than_it_was_let_in_with(value: Any, slice_: int) -> None:
    raw, count = to_json(value), _count(value)
    whole, nodes.SLICE = nodes.SLICE, slice_
    try:
        assert not _passes(raw, count - 1)
        # Empty lists and objects are counted as if they held something; what stands in strings is not counted.
        empty = _empty(value)
        assert _passes(raw, count + empty)
    finally:
        nodes.SLICE = whole


def _empty(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return int(value in ([], {})) + sum(map(_empty, inner))


@pytest.mark.parametrize(
    "raw", [b"[[]" + b",[]" * 2_000_000, b'["' + b"," * 9_000 + b'"' + b'""' * 2_000_000, b'["' + b'\\",' * 500_000]
)
def test_what_is_no_json_is_bounded_too(raw: bytes) -> None:
    assert _passes(raw, 1_000) == raw.startswith(b'["\\')
